"""What the cheat sheet tells a reader to write is right: each line runs, and a chapter teaches it."""

import ast

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from book.cheat_sheet import lines, page_of
from book.contents import pages, read

LINES = lines()
FORMULAS = [line.write for line in LINES if line.part == "The formula"]
CALLS = [line for line in LINES if line.part != "The formula"]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"g": np.repeat(np.arange(12), 16), "h": np.tile(np.arange(16), 12)})
    n = len(table)
    table["a"], table["b"], table["time"] = table["g"] // 3, table["g"], table["h"] % 4
    table["x"] = rng.normal(size=n)
    table["x_between"] = rng.normal(size=12)[table["g"]]
    table["x_within"] = table["x"]
    table["y"] = table["x"] + rng.normal(size=12)[table["g"]] + rng.normal(size=16)[table["h"]]
    table["y"] += 0.5 * rng.normal(size=12)[table["g"]] * table["x"] + rng.normal(size=n)
    return table.assign(yes=(table["y"] > 0).astype(int), count=rng.poisson(np.exp(0.3 * table["y"])))


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")
def test_a_formula_is_one_that_fits(formula, data):
    assert gl.lmer(formula, data).convergence.converged


@pytest.mark.parametrize("line", CALLS, ids=lambda line: line.want)
@pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")
def test_a_call_runs(line, data):
    response = "yes" if "binomial" in line.write and "neg" not in line.write else "y"
    response = "count" if "poisson" in line.write or "neg" in line.write else response
    is_generalised = "exp_table" in line.write or "marginal" in line.write
    fit = (
        gl.glmer("yes ~ x + (1 | g)", data, family="binomial")
        if is_generalised
        else gl.lmer("y ~ x + (1 | g)", data)
    )
    names = {
        "formula": f"{response} ~ x + (1 | g)",
        "data": data,
        "fit": fit,
        "m0": gl.lmer("y ~ 1 + (1 | g)", data),
        "m1": fit,
        "new": pd.DataFrame({"x": [0.5], "g": [99]}),
        "rng": np.random.default_rng(1),
        "print": str,
        "gl": gl,
    }
    assert eval(line.write, names) is not None


@pytest.mark.parametrize("line", CALLS, ids=lambda line: line.want)
def test_a_chapter_teaches_what_the_line_calls(line):
    path = page_of(line.chapter)
    called = next(n for n in ast.walk(ast.parse(line.write)) if isinstance(n, ast.Attribute)).attr
    assert called in "".join(cell.source for cell in read(path).cells)


def test_every_line_leads_to_a_page_of_the_course():
    assert {f"chapters/{page_of(line.chapter).stem}" for line in LINES} <= set(pages())


def test_a_page_that_does_not_exist_is_named():
    with pytest.raises(LookupError, match="'oracle', which is no page"):
        page_of("oracle")
