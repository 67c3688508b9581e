"""Tables and words: how numbers are shown, whatever they are."""
