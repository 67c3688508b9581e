"""The page that tells what works with what is what works with what."""

from support.what_works import PAGE, found, page


def test_the_page_tells_what_each_room_does_with_each_kind_of_model():
    """If not: python tests/support/what_works.py writes it anew; look at what changed."""
    assert page(found()) == PAGE.read_text(encoding="utf-8")
