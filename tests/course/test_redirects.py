"""A chapter can be renamed: links, tables and contents follow, and its old address leads to the new one."""

import subprocess
from types import SimpleNamespace

import pytest

from book.contents import ROOT, pages
from book.redirects import redirects, write_stubs
from book.rename import in_tables, mentions, remember, rename, renamed


def test_every_old_address_leads_to_a_page_that_is_there():
    assert set(redirects().values()) <= set(pages())
    assert not set(redirects()) & set(pages()), "a page stands at its own old address"


@pytest.mark.site
@pytest.mark.parametrize("old", redirects())
def test_stub_is_built(site, old):
    assert "This page has moved" in (site / f"{old}.html").read_text(encoding="utf-8")


def test_a_renamed_page_keeps_every_address_it_ever_had(tmp_path):
    table = tmp_path / "redirects.csv"
    table.write_text("old,new\n")
    remember("05_a", "06_b", table)
    remember("06_b", "07_c", table)
    assert redirects(table) == {"chapters/05_a": "chapters/07_c", "chapters/06_b": "chapters/07_c"}
    remember("07_c", "05_a", table)
    assert redirects(table) == {"chapters/06_b": "chapters/05_a", "chapters/07_c": "chapters/05_a"}


def test_contents_index_and_tables_take_the_new_name_and_number():
    toc = "      - file: chapters/05_old\n        title: 05 Old things\n"
    assert renamed(toc, "05_old", "06_new") == "      - file: chapters/06_new\n        title: 06 Old things\n"
    row = "| [05 Old things](chapters/05_old.ipynb) | Why? | 20 + 12 |"
    assert renamed(row, "05_old", "06_new") == "| [06 Old things](chapters/06_new.ipynb) | Why? | 20 + 12 |"
    assert in_tables("S17,x,old,\nS18,old y,z,old", "05_old", "06_new") == "S17,x,new,\nS18,old y,z,new"
    assert renamed("15_old and 05_old_age", "05_old", "06_new") == "15_old and 05_old_age"


def test_rename_moves_the_file_and_leads_every_link(tmp_path, monkeypatch):
    chapters, book = tmp_path / "chapters", tmp_path / "book"
    chapters.mkdir()
    book.mkdir()
    (chapters / "05_old.ipynb").write_text("{}")
    (chapters / "page.md").write_text("[Chapter 05](05_old.ipynb). In chapter 05, and in chapters 04 and 05.")
    (book / "redirects.csv").write_text("old,new\n")
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    monkeypatch.setattr("book.rename.remember", lambda old, new: None)
    assert [path.name for path in rename("05_old", "06_new", tmp_path)] == ["page.md"]
    assert (chapters / "06_new.ipynb").exists() and not (chapters / "05_old.ipynb").exists()
    assert (chapters / "page.md").read_text().startswith("[Chapter 06](06_new.ipynb). In chapter 05")
    assert len(mentions("05", tmp_path)) == 2


def test_stubs_are_written_for_the_web_alone(tmp_path, monkeypatch):
    app = SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(format="html"))
    monkeypatch.setattr("book.redirects.redirects", lambda: {"chapters/05_old": "chapters/06_new"})
    write_stubs(app, None)
    assert 'href="06_new.html"' in (tmp_path / "chapters/05_old.html").read_text()
    app.builder.format = "latex"
    (tmp_path / "chapters/05_old.html").unlink()
    write_stubs(app, None)
    assert not list(tmp_path.rglob("*.html"))
    assert (ROOT / "book" / "redirects.csv").exists()
