"""The import of Altair compiles no grammar that no chart needs, and what jsonschema checks stays the same."""

import sys

import pytest

from glmmlib.sliders._slider import ADDRESSES, grammar_of_addresses_when_asked


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A package of the name of the real one, which takes one address for valid."""
    (tmp_path / f"{ADDRESSES}.py").write_text("is_valid_syntax = lambda *asked: asked == ('iri', 'a:b')\n")
    for name in (ADDRESSES, "jsonschema"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop(ADDRESSES, None)


def test_the_grammar_is_loaded_at_the_first_question_and_answers_it(package):
    with grammar_of_addresses_when_asked():
        from rfc3987_syntax import is_valid_syntax

        assert not hasattr(sys.modules[ADDRESSES], "__file__")
    assert ADDRESSES not in sys.modules
    assert is_valid_syntax("iri", "a:b") and not is_valid_syntax("iri", "a b")
    assert sys.modules[ADDRESSES].__file__ == str(package / f"{ADDRESSES}.py")


def test_an_import_that_fails_leaves_nothing_behind(package):
    with pytest.raises(ImportError), grammar_of_addresses_when_asked():
        raise ImportError
    assert ADDRESSES not in sys.modules


@pytest.mark.parametrize("name", [ADDRESSES, "jsonschema"])
def test_what_is_loaded_is_left_alone(package, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, loaded := object())
    with grammar_of_addresses_when_asked():
        assert sys.modules.get(name) is loaded
        assert (ADDRESSES in sys.modules) == (name == ADDRESSES)


def test_nothing_is_put_where_the_package_is_not_installed(monkeypatch):
    monkeypatch.setattr("glmmlib.sliders._slider.find_spec", lambda name: None)
    for name in (ADDRESSES, "jsonschema"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with grammar_of_addresses_when_asked():
        assert ADDRESSES not in sys.modules
