"""Each work of the bibliography has a DOI, or an address: a book by its ISBN, an article by its issue."""

import re

import pytest

from book.contents import ROOT

ENTRIES = dict(
    re.findall(
        r"^@\w+\{(\w+),\n(.*?)^\}",
        (ROOT / "chapters/references.bib").read_text(encoding="utf-8"),
        re.M | re.S,
    )
)


def field(entry, name):
    found = re.search(rf"^  {name} +=\s*\{{(.+)\}},$", entry, re.M)
    return found and found[1]


def is_isbn(text):
    return len(text) == 13 and sum(int(c) * (1, 3)[k % 2] for k, c in enumerate(text)) % 10 == 0


@pytest.mark.parametrize("key", ENTRIES)
def test_each_work_has_a_doi_or_an_address(key):
    doi, url = (field(ENTRIES[key], name) for name in ("doi", "url"))
    assert (doi is None) != (url is None)
    if doi:
        assert re.fullmatch(r"10\.\d{4,5}/[\w.()/-]+", doi) and not doi.endswith(".")
    else:
        assert re.fullmatch(r"https://[\w.-]+/[\w./?=-]+", url)
        isbn = url.partition("/isbn/")[2]
        assert not isbn or is_isbn(isbn)


def test_no_two_works_share_an_address():
    addresses = [field(entry, "doi") or field(entry, "url") for entry in ENTRIES.values()]
    assert len(set(addresses)) == len(addresses) > 90


def test_a_wrong_isbn_is_seen():
    assert is_isbn("9780471109495") and not is_isbn("9780471109496")
