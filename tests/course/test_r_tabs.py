"""Each R tab is what R ran, and states what R printed. `python -m book.r_tabs` runs them anew."""

from dataclasses import replace

import pytest

from book.r_tabs import KEPT, not_printed, printed, tabs

TABS = tabs()


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.name)
def test_the_tab_states_what_r_printed(tab):
    answer = tab.kept.read_text(encoding="utf-8")
    assert answer.startswith(f"# tab {tab.digest}\n"), "The tab was changed. Run: python -m book.r_tabs"
    assert not not_printed(tab.stated, printed(answer))
    assert "R version" in answer  # the last line of a run that came to its end


def test_there_is_an_answer_for_each_tab_and_no_other():
    assert sorted(path.name for path in KEPT.iterdir()) == sorted(tab.kept.name for tab in TABS)
    assert len(TABS) > 20


def test_a_changed_command_and_a_changed_number_are_seen():
    tab = next(tab for tab in TABS if tab.name == "random_intercepts")
    changed = replace(tab, text=tab.text.replace("data = soil", "data = soil[-1, ]"))
    assert changed.digest != tab.digest
    wrong = replace(tab, text=tab.text.replace("0.2057", "0.2058"))
    assert wrong.digest == tab.digest
    assert not_printed(wrong.stated, printed(tab.kept.read_text(encoding="utf-8"))) == ["0.2058"]


def test_data_made_on_the_page_are_part_of_the_digest():
    tab = next(tab for tab in TABS if tab.writes)
    assert replace(tab, before=(*tab.before[:-1], "other = 1")).digest != tab.digest


def test_no_command_is_taken_for_an_answer():
    assert printed("# tab 0\n> x <- 1.25\n+   y 2.5\n[1] 3.75\n") == ["1", "3.75"]
    assert not not_printed(["0.25", "-1.5"], ["0.2468", "-1.49999"])
    assert not_printed(["0.333", "1.50"], ["0.33", "1.5"]) == ["0.333", "1.50"]  # fewer digits prove nothing
