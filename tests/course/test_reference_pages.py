"""The library reference: every public name has an entry, and every entry has what a reader needs."""

import inspect
import re
from functools import cache, cached_property
from importlib import import_module

import pytest
from bs4 import BeautifulSoup

import glmmlib as gl
from book.contents import ROOT, pages
from book.reference import CLASSES
from glmmlib import sliders
from glmmlib.models.generalized_fit import GeneralizedMixedModelFit
from glmmlib.models.linear_fit import LinearMixedModelFit

FITS = (LinearMixedModelFit, GeneralizedMixedModelFit)


def class_of(path: str) -> type:
    module, name = path.rsplit(".", 1)
    return getattr(import_module(module), name)


def is_attribute(member) -> bool:
    return isinstance(member, property | cached_property)


def methods() -> dict[str, object]:
    """The public methods of the classes of the reference, by full name; an abstract one is told where it is
    written out.
    """
    return {
        f"{path}.{name}": member
        for path in CLASSES.values()
        if path != CLASSES["Family"]  # a family is what glmer fits with, and no object that a reader calls
        for name, member in vars(class_of(path)).items()
        if inspect.isfunction(member)
        and not name.startswith("_")
        and not getattr(member, "__isabstractmethod__", False)
    }


FUNCTIONS = (
    {f"glmmlib.{name}": getattr(gl, name) for name in gl.__all__ if not inspect.ismodule(getattr(gl, name))}
    | {f"glmmlib.plots.{name}": getattr(gl.plots, name) for name in gl.plots.__all__}
    | {f"glmmlib.sliders.{name}": getattr(sliders, name) for name in sliders.__all__}
)
ENTRIES = FUNCTIONS | methods()
by_entry = pytest.mark.parametrize("name", ENTRIES)


@cache
def reference(site) -> dict[str, BeautifulSoup]:
    """The pages of the reference in the built site."""
    names = [page for page in pages() if page.startswith("chapters/reference")]
    return {
        name: BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        for name in names
    }


@cache
def entries(site) -> dict:
    """The entries of the reference, by full name."""
    return {
        term["id"]: term.parent
        for page in reference(site).values()
        for term in page.select("article dt.sig[id]")
    }


@pytest.mark.site
@pytest.mark.parametrize("name", [*ENTRIES, *CLASSES.values()])
def test_every_public_name_has_an_entry(site, name):
    assert name in entries(site)


@pytest.mark.parametrize("path", CLASSES.values())
def test_the_pages_of_the_reference_ask_for_every_class(path):
    asked = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "chapters").glob("reference*.md"))
    assert re.search(rf"autoclass:: {re.escape(path)}$", asked, re.MULTILINE)


@pytest.mark.parametrize("fit", FITS, ids=lambda fit: fit.__name__)
def test_methods_of_the_two_fit_classes_are_among_the_entries(fit):
    public = {
        name: member
        for name, member in inspect.getmembers(fit, inspect.isfunction)
        if not name.startswith("_")
    }
    assert public
    assert all(
        any(ENTRIES.get(f"{c.__module__}.{c.__name__}.{name}") for c in fit.__mro__) for name in public
    )


@by_entry
def test_docstring_has_parameters_results_and_an_example(name):
    told = sections(ENTRIES[name])
    parameters = [p for p in inspect.signature(ENTRIES[name]).parameters if p != "self"]
    assert {"Returns", "Examples"} <= told.keys()
    assert not parameters or "Parameters" in told
    assert set(parameters) == named_in(told.get("Parameters", ""))


@pytest.mark.parametrize("path", CLASSES.values())
def test_class_describes_each_of_its_attributes(path):
    cls = class_of(path)
    told = "\n".join(sections(c).get("Attributes", "") for c in cls.__mro__)
    public = {name for name, member in inspect.getmembers(cls, is_attribute) if not name.startswith("_")}
    fields = {name for name in getattr(cls, "__dataclass_fields__", ()) if not name.startswith("_")}
    assert not (public | fields) - named_in(told)


def sections(thing) -> dict[str, str]:
    """The numpydoc sections of a docstring."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def named_in(section: str) -> set[str]:
    """What a section names: ``name : type`` and ``x1, x2 : type`` begin a line that is not indented."""
    lines = re.findall(r"^(\S[^:\n]*)", section, re.MULTILINE)
    return {name.strip(" *") for line in lines for name in line.split(",")}


def test_a_formula_of_more_than_a_line_stands_in_a_block_of_its_own():
    """Behind ``.. math::`` a second line that the formatter moved would end the formula."""
    for path in (ROOT / "glmmlib").rglob("*.py"):
        assert not re.findall(
            r"^ *\.\. math:: \S.*\n *\S.*", path.read_text(encoding="utf-8"), re.MULTILINE
        ), path


def test_methods_are_explained_by_modules_that_exist():
    named = [
        name
        for path in (ROOT / "chapters").glob("reference*.md")
        for name in re.findall(r"automodule:: (\S+)", path.read_text(encoding="utf-8"))
    ]
    assert len(named) > 10
    assert all(inspect.getdoc(import_module(name)) for name in named)


@pytest.mark.site
def test_nothing_of_the_markup_is_left_over(site):
    for name, page in reference(site).items():
        text = page.select_one("article").get_text()
        assert not re.search(r":(?:func|class|meth|mod|math):|``|\.\. math::", text), name
        assert not page.select("article .problematic, article .system-message"), name


@pytest.mark.site
def test_formulas_are_typeset(site):
    formulas = {name: entry.select(".math") for name, entry in entries(site).items()}
    assert all(
        formulas[name]
        for name in ENTRIES
        if re.search(r":math:|\.\. math::", inspect.getdoc(ENTRIES[name]) or "")
    )


@pytest.mark.site
def test_entries_lead_to_the_chapters_that_use_them(site):
    entry = entries(site)["glmmlib.sliders.moving_zero"]
    assert any("08_random_slopes" in link["href"] for link in entry.select("a[href]"))


@pytest.mark.site
def test_overview_leads_to_every_function(site):
    overview = reference(site)["chapters/reference"]
    reached = {link["href"].partition("#")[2] for link in overview.select("article table a[href]")}
    assert FUNCTIONS.keys() <= reached
