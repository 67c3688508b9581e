"""What pandas, myst-nb and docutils write against the HTML standard, written as the standard has it."""

from __future__ import annotations

import re

# A reader's browser shows the same before and after: book.css holds the rules that go with the last two.
REWRITTEN = [
    # A role that is no longer valid on the entries of a bibliography.
    (re.compile('role="doc-biblioentry"'), 'role="listitem"'),
    # The border of a table of pandas, and its style sheet, which stands where only a head may have one.
    (re.compile(r'<table border="\d+" class="dataframe'), '<table class="dataframe'),
    (re.compile(r"<style scoped>.*?</style>\s*", re.DOTALL), ""),
    # The two titles of folded code are paragraphs; a summary holds words.
    (
        re.compile(r'<p class="((?:collapsed|expanded) admonition-title)">(.*?)</p>'),
        r'<span class="\1">\2</span>',
    ),
]


def valid(body: str) -> str:
    """The body of a page without what an HTML validator calls an error."""
    for pattern, replacement in REWRITTEN:
        body = pattern.sub(replacement, body)
    return body
