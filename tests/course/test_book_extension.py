"""The course's own Sphinx elements: what they write into a page, and what they refuse."""

import io

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from book.quiz import order
from book.redirects import stub

CONF = (
    "extensions = ['myst_nb', 'book.extension']\nmyst_enable_extensions = "
    "['colon_fence']\nsuppress_warnings = ['toc.not_readable']\n"
)
QUIZ = """:::{admonition} Question
:class: quiz dropdown

Which one, with `code`?

- [ ] The first.
  > It is *not*, because of A.
- [x] The second.
  > It is, because of B.
:::
"""


@pytest.fixture
def build(tmp_path):
    """Build one page; its HTML, unless nothing is to be written, and the warnings."""

    def build(text, builder="html"):
        source, out = tmp_path / "source", tmp_path / "out"
        source.mkdir()
        (source / "conf.py").write_text(CONF)
        (source / "index.md").write_text(f"# Page\n\n{text}", encoding="utf-8")
        warnings = io.StringIO()
        with docutils_namespace():
            app = Sphinx(source, source, out, tmp_path / "doctrees", builder, status=None, warning=warnings)
            app.build()
        page = (out / "index.html").read_text(encoding="utf-8") if builder == "html" else ""
        return BeautifulSoup(page, "html.parser"), warnings.getvalue()

    return build


def test_quiz_is_a_field_set_of_labelled_radio_buttons_with_hidden_reasons(build):
    page, warnings = build(QUIZ + "\n" + QUIZ)
    assert not warnings
    first, second = page.select("form.quiz")
    assert first.legend.text == "Question 1 Which one, with code?"
    assert second.legend.text.startswith("Question 2")
    right = {o.label.text: o["data-correct"] for o in first.select(".quiz-option")}
    assert right == {"The first.": "false", "The second.": "true"}
    assert list(right) == order("index", "Which one, with `code`?", ["The first.", "The second."])
    reasons = {o.label.text: o.select_one(".quiz-reason").text for o in first.select(".quiz-option")}
    assert "because of A" in reasons["The first."] and "because of B" in reasons["The second."]
    assert [label["for"] for label in first.find_all("label")] == [i["id"] for i in first.find_all("input")]
    assert all(reason.has_attr("hidden") for reason in first.select(".quiz-reason"))
    assert first.select_one("[aria-live]").text == ""
    assert {i["name"] for i in first.find_all("input")}.isdisjoint(
        i["name"] for i in second.find_all("input")
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (QUIZ.replace("[x]", "[ ]"), "exactly one correct"),
        (QUIZ.replace("[ ]", "[x]"), "exactly one correct"),
        (QUIZ.replace("  > It is, because of B.\n", ""), "needs one reason"),
        (QUIZ.replace("  > It is,", "  It is,"), "needs one reason"),
        (QUIZ.replace("Which one, with `code`?\n", "> quoted\n"), "begin with a paragraph"),
    ],
)
def test_quiz_without_one_right_answer_or_without_reasons_is_refused(build, text, complaint):
    assert complaint in build(text, "dummy")[1]


def test_slide_labels_keep_their_case_and_tell_the_reader_the_slide(build):
    page, warnings = build(
        "(slide-S02)=\n(slide-S03)=\n## "
        "Sites\n\nText.\n\n[there](#slide-S02)\n\n(sharpen-E4)=\n:::{note}\nBox.\n:::\n"
    )
    assert not warnings
    assert page.find(id="slide-S02") and page.find(id="slide-S03") and page.find(id="sharpen-E4")
    assert page.find("a", string="there")["href"] == "#slide-S02"
    assert (
        page.select_one(".slides-note").text.strip()
        == "Slides S02 Hierarchical Data; S03 Example: Bird Abundance Study"
    )


def test_label_of_a_slide_that_does_not_exist_is_reported(build):
    assert "slide-S99 is not a slide of the deck" in build("(slide-S99)=\n## Sites\n", "dummy")[1]


def test_slide_index_lists_every_slide_and_complains_of_one_without_a_place(build):
    page, warnings = build("(slide-S02)=\n## Sites\n\n```{slide-index}\n```\n")
    rows = page.select("table.slide-index tbody tr")
    assert len(rows) == 56
    assert rows[1].a["href"] == "#slide-S02"
    assert "slide S03 has no place" in warnings and "slide S02" not in warnings


def test_slider_directive_draws_the_chart_of_that_name_and_refuses_another(build):
    page, warnings = build("```{slider} shrinkage_factor\n```\n\n```{slider} nothing\n```\n")
    assert len(page.select(".slider-chart .slider-spec")) == 1
    assert "charts.js" in str(page.select("script[src]"))
    assert "there is no slider 'nothing'" in warnings


DOOR = """(slide-S02)=
:::{admonition} A *true* null is rejected in 35 % of studies
:class: door

Words.
:::

Behind it.

(slide-S03)=
A place.

:::{note}
A box.
:::

% door-end

After it.
"""


def test_door_holds_what_stands_between_its_two_ends(build):
    page, warnings = build(DOOR + "\n[there](#slide-S03)\n")
    assert not warnings
    (door,) = page.select("details.door")
    assert not door.has_attr("open")
    assert door.summary.text.strip() == "A true null is rejected in 35 % of studies"
    assert door.summary.em
    behind = door.select_one(".door-content").text
    assert "Words." in behind and "Behind it." in behind and "A box." in behind and "After it." not in behind
    assert door["id"] == "slide-S02"
    assert door.find(id="slide-S03")
    assert "doors.js" in str(page.select("script[src]"))


def test_result_of_a_guess_is_a_door_of_its_own_class(build):
    page, warnings = build(
        ":::{admonition} See what happens\n:class: guess-result\n:::\n\nSo.\n\n% door-end\n"
    )
    assert not warnings
    assert page.select_one("details.door.guess-result .door-content").text.strip() == "So."


def test_page_without_a_door_needs_no_script_for_it(build):
    assert "doors.js" not in str(build("Text.")[0].select("script[src]"))


BEGIN = ":::{admonition} A\n:class: door\n:::\n\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (BEGIN + "Text.\n", "has no `% door-end`"),
        (BEGIN + "## Heading\n\n% door-end\n", "neither a heading nor another door"),
        (BEGIN + BEGIN + "% door-end\n\n% door-end\n", "nor another door"),
        ("Text.\n\n% door-end\n", "ends no door"),
    ],
)
def test_door_without_both_ends_side_by_side_is_refused(build, text, complaint):
    assert complaint in build(text, "dummy")[1]


def test_old_address_leads_to_the_new_one():
    page = BeautifulSoup(stub("chapters/02_old", "chapters/04_new"), "html.parser")
    assert page.find("meta", attrs={"http-equiv": "refresh"})["content"] == "0; url=04_new.html"
    assert page.find("link", rel="canonical")["href"] == page.a["href"] == "04_new.html"
