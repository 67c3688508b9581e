"""The machinery of the course: what Jupyter Book needs beside the chapters.

`book.extension` is the Sphinx extension (quiz, slide labels, slider charts, local MathJax); `book.store` runs
a notebook and stores it in the form that is kept in git. Nothing here is needed to use glmmlib.
"""
