"""Files that outlive a session: a zip archive of JSON and arrays, and data frames in such terms."""
