"""The judge itself is judged: by R's frozen values, by differences of its own objective, and by easy data."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from support import reference_values as rv
from support import streams
from support.judge import LaplaceJudge, LinearJudge, Model, Term, at_fit, judge


def codes(column):
    return pd.factorize(column)[0]


def intercepts(table, *names):
    return tuple(Term(codes(table[g]), np.ones((len(table), 1))) for g in names)


@pytest.mark.parametrize("name", ["sleep_rs_reml", "sleep_rs_ml", "sleep_rs_nocorr_reml"])
def test_linear_models_end_where_lme4_ends(name):
    sleep = rv.data("sleepstudy")
    X = np.column_stack([np.ones(len(sleep)), sleep["Days"]])
    term = Term(codes(sleep["Subject"]), X, correlated="nocorr" not in name)
    found = judge(Model(sleep["Reaction"].to_numpy(float), X, (term,), reml="reml" in name), effort=0.5)
    assert found.value == pytest.approx(-2 * rv.fit(name)["logLik"], abs=1e-5)


def test_two_crossed_factors_end_where_lme4_ends():
    table = rv.data("Penicillin")
    model = Model(
        table["diameter"].to_numpy(float),
        np.ones((len(table), 1)),
        intercepts(table, "plate", "sample"),
        reml=True,
    )
    assert judge(model, effort=0.2).value == pytest.approx(-2 * rv.fit("penicillin_reml")["logLik"], abs=1e-5)


def test_a_binomial_model_ends_where_r_ends():
    cbpp = rv.data("cbpp")
    X = np.column_stack([np.ones(len(cbpp))] + [cbpp["period"] == k for k in "234"]).astype(float)
    model = Model(
        cbpp["incidence"].to_numpy(float),
        X,
        intercepts(cbpp, "herd"),
        weights=cbpp["size"].to_numpy(float),
        family=("binomial", "logit"),
    )
    ours = gl.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    assert at_fit(model, ours) == pytest.approx(ours.deviance, abs=1e-8)
    assert judge(model, effort=0.2).value == pytest.approx(-2 * rv.fit("cbpp_laplace")["logLik"], abs=1e-4)


@pytest.mark.parametrize("seed", range(len(streams.LINEAR)))
def test_gradients_of_the_linear_judge(seed):
    judge = LinearJudge(streams.linear(seed).model)
    theta = np.random.default_rng(seed).normal(size=judge.factors.n_theta)
    compare(judge, theta)


@pytest.mark.parametrize("seed", range(len(streams.FAMILIES) * len(streams.GENERALISED)))
def test_gradients_of_the_laplace_judge(seed):
    judge = LaplaceJudge(streams.generalised(seed).model)
    size = judge.p + judge.factors.n_theta + judge.has_dispersion
    compare(judge, 0.5 * np.random.default_rng(seed).normal(size=size))


def compare(judge, x, step=1e-5):
    _, gradient = judge.value(x, True)
    differences = [
        (judge.value(x + step * e) - judge.value(x - step * e)) / (2 * step) for e in np.eye(len(x))
    ]
    np.testing.assert_allclose(gradient, differences, atol=1e-4 * (1 + np.abs(gradient).max()))


@pytest.mark.parametrize("draw, seeds", [(streams.linear, range(24)), (streams.generalised, range(30))])
def test_both_have_the_same_objective(draw, seeds):
    """At the library's own estimates, wherever these may be."""
    for case in map(draw, seeds):
        fit, _ = case.fit()
        assert at_fit(case.model, fit) == pytest.approx(fit.deviance, abs=1e-6), case
