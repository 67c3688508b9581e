"""Old addresses: for each row of `redirects.csv` a page that leads to the new one."""

from __future__ import annotations

import csv
from html import escape
from pathlib import Path
from posixpath import relpath

from sphinx.application import Sphinx

TABLE = Path(__file__).parent / "redirects.csv"
STUB = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>This page has moved</title>
<link rel="canonical" href="{target}">
<meta name="robots" content="noindex">
<meta http-equiv="refresh" content="0; url={target}">
<script>location.replace("{target}" + location.hash);</script>
</head>
<body><p>This page has moved: <a href="{target}">go to the new one</a>.</p></body>
</html>
"""


def redirects(table: Path = TABLE) -> dict[str, str]:
    """Each page that once was, and the page that took its place, both without suffix."""
    with open(table, encoding="utf-8", newline="") as file:
        return {row["old"]: row["new"] for row in csv.DictReader(file)}


def stub(old: str, new: str) -> str:
    """The page at `old` that leads to `new`.

    >>> 'url=02_b.html"' in stub("chapters/01_a", "chapters/02_b")
    True
    """
    return STUB.format(target=escape(relpath(f"{new}.html", Path(old).parent.as_posix())))


def write_stubs(app: Sphinx, exception: Exception | None) -> None:
    """Put a page at each old address beside the built ones."""
    if exception or app.builder.format != "html":
        return
    for old, new in redirects().items():
        path = Path(app.outdir) / f"{old}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stub(old, new), encoding="utf-8")
