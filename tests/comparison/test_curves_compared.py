"""A line is tested against a curve by simulation; no table holds its null distribution."""

import numpy as np
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError

SLEEP = gl.load("sleepstudy")
FROGS = gl.load("frogs").iloc[:150]


def linear(formula, reml=True):
    return gl.lmer(f"Reaction ~ {formula} + (1 | Subject)", SLEEP, reml=reml)


def bernoulli(formula):
    return gl.glmer(f"tadpoles ~ {formula} + (1 | region)", FROGS, "binomial")


@pytest.mark.parametrize(
    ("fit", "line", "curve", "name"),
    [
        (linear, "Days", "s(Days, k=5)", "the curve s(Days) has no bends"),
        (
            linear,
            "s(Days, k=5)",
            "s(Days, k=5) + bends(0 + Days | Subject, k=5)",
            "between levels of Subject",
        ),
        (bernoulli, "depth", "s(depth, k=4)", "the curve s(depth) has no bends"),
    ],
)
def test_a_line_is_tested_against_a_curve_by_simulation(fit, line, curve, name):
    m0, m1 = fit(line), fit(curve)
    test = gl.bootstrap_test(m0, m1, n=5, rng=np.random.default_rng(1), refit=False)
    assert test.statistic == pytest.approx(max(m0.deviance - m1.deviance, 0), abs=1e-6)
    assert len(test.null) == 5 and (test.null >= 0).all()
    assert name in test.hypothesis


def test_no_table_is_believed_where_a_curve_is_new():
    compared = gl.anova(linear("Days", reml=False), linear("s(Days, k=5)", reml=False))
    assert np.isnan(compared.table["p"].iloc[1])
    assert "all rows share the bends" in compared.distributions["m1"]
    assert compared.hypotheses["m1"] == "the curve s(Days) has no bends"


def test_a_curve_of_other_knots_is_no_special_case():
    more_knots = gl.lmer("Reaction ~ s(Days, k=8) + (Days | Subject)", SLEEP)
    with pytest.raises(ModelError, match="not nested"):
        gl.bootstrap_test(linear("s(Days, k=5)"), more_knots, n=5, rng=np.random.default_rng(1))
