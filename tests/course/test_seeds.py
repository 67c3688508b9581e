"""The table of seeds belongs to today's chapters, and its program sees what it should."""

import numpy as np
from nbformat.v4 import new_code_cell, new_notebook

from book.contents import lessons, name_of, read
from book.seeds import (
    STOPPED,
    Row,
    p_value,
    printed,
    read_table,
    reseeded,
    table_rows,
    with_other_seeds,
)

ROWS = read_table()


def test_the_stored_numbers_of_the_table_are_those_of_the_chapters():
    today = {
        (name_of(path), cell.id): printed(cell)
        for path in lessons()
        for cell in read(path).cells
        if cell.cell_type == "code"
    }
    old = [(row.chapter, row.cell) for row in ROWS if today.get((row.chapter, row.cell)) != row.stored]
    assert not old, "Run python -m book.seeds for these chapters"


def test_every_way_to_write_a_seed_is_another_one():
    source = "rng = np.random.default_rng(2)\ngl.check(fit, rng=1)\nmodel.fit(seed=3)\nx = default_rng(k)"
    assert reseeded(source, 10) == source.replace("(2)", "(12)").replace("=1)", "=11)").replace("=3)", "=13)")


def test_a_data_set_keeps_its_seed():
    source = "rng = np.random.default_rng(2)"
    cells = [new_code_cell(source), new_code_cell(source, metadata={"tags": ["data", "live"]})]
    kept = with_other_seeds(new_notebook(cells=cells), 10).cells
    assert [cell.source for cell in kept] == ["rng = np.random.default_rng(12)", source]


def test_no_check_stops_under_other_seeds():
    assert not [(row.chapter, row.cell) for row in ROWS if row.is_check]


def test_a_number_chosen_from_many_is_found_and_one_taken_as_it_comes_is_not():
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(4000, 4))
    low = [p_value(first, others) < 0.05 for first, *others in draws]
    assert abs(np.mean(low) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 4000)
    chosen = [p_value(first + 8, others) < 0.05 for first, *others in draws[:500]]
    assert np.mean(chosen) > 0.8


def test_a_row_tells_numbers_from_checks():
    row = Row("a", "b", "1.5 40 7", "2.5 40 8", "3.5 40 9", "2.0 40 7")
    assert [number for _, number in row.p_values()] == ["1.5", "7"]  # no seed moves the 40
    assert Row("a", "b", "", STOPPED, "", "").is_check and not Row("a", "b", "1", "1 2", "1", "2").p_values()


def test_the_table_of_the_colophon_counts_the_numbers_of_each_chapter_and_those_outside():
    rows = [
        Row("icc", "a", "1.0 2.0", "1.1 2.1", "0.9 1.9", "1.2 2.0"),
        Row("icc", "b", "9", "1", "2", "3"),
        Row("hierarchical_data", "c", "", STOPPED, "", ""),
    ]
    assert [row[:3] for row in table_rows(rows)] == [
        ("01 Hierarchical data", "0", "0"),
        ("05 Intra-class correlation", "3", "1"),
        ("all", "3", "1"),
    ]


def test_seeds_were_not_chosen():
    found = [p for row in ROWS for p, _ in row.p_values()]
    low = sum(p < 0.05 for p in found)
    assert low < 0.05 * len(found) + 4 * np.sqrt(0.05 * 0.95 * len(found))
