"""Responses drawn for new rows: their means, variances and correlations, and what is refused."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, ModelError
from support import reference_values as reference

NEW = pd.DataFrame({"Subject": ["308", "308", "new", "new", "newer"], "Days": [0, 9, 0, 9, 12.5]})


@pytest.fixture(scope="module")
def sleep():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))


def test_new_rows_have_the_models_means_and_covariances(sleep):
    Y = sleep.simulate(40_000, rng=1, newdata=NEW)
    mean = sleep.predict(NEW, re_form="~0", allow_new_levels=True)
    Z = np.column_stack([np.ones(5), NEW["Days"]])
    same = NEW["Subject"].to_numpy()[:, None] == NEW["Subject"].to_numpy()
    V = same * (Z @ sleep.varcorr["Subject"].cov.to_numpy() @ Z.T) + sleep.sigma**2 * np.eye(5)
    np.testing.assert_allclose(Y.mean(axis=1), mean, atol=4 * np.sqrt(V.max() / 40_000))
    np.testing.assert_allclose(np.cov(Y), V, atol=0.03 * V.max())


def test_conditional_draws_keep_the_modes_and_know_no_new_level(sleep):
    known = NEW.iloc[:2]
    Y = sleep.simulate(20_000, rng=1, newdata=known, conditional=True)
    np.testing.assert_allclose(Y.mean(axis=1), sleep.predict(known), atol=4 * sleep.sigma / np.sqrt(20_000))
    assert np.corrcoef(Y)[0, 1] == pytest.approx(0.0, abs=0.03)
    with pytest.raises(DataError, match="levels in the new data"):
        sleep.simulate(rng=1, newdata=NEW, conditional=True)


def test_the_fits_own_rows_are_new_rows_too(sleep):
    one = sleep.simulate(rng=3, newdata=NEW)
    assert list(one.index) == list(NEW.index) and one.name == "Reaction"
    nested = gl.lmer("strength ~ 1 + (1 | batch / cask)", gl.load("Pastes"))
    Y = nested.simulate(8000, rng=2, newdata=gl.load("Pastes"))
    sd = nested.varcorr["batch"].sd["Intercept"], nested.varcorr["batch:cask"].sd["Intercept"]
    V = np.cov(Y[:4])  # two rows of one cask, then two of the next cask of the batch
    assert V[0, 1] == pytest.approx(sd[0] ** 2 + sd[1] ** 2, rel=0.1)
    assert V[0, 2] == pytest.approx(sd[0] ** 2, abs=0.15 * V[0, 0])


def test_other_families_take_trials_offsets_and_structural_zeros():
    cbpp = reference.data("cbpp")
    fit = gl.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    Y = fit.simulate(2000, rng=1, newdata=cbpp.iloc[:6], weights="size")
    assert (cbpp["size"].to_numpy()[:6, None] >= Y).all() and (np.round(Y) == Y).all()
    with pytest.raises(DataError, match="pass weights="):
        fit.simulate(rng=1, newdata=cbpp)
    counts = reference.data("sim_counts")
    fit = gl.glmer("y_olre ~ x + (1 | a)", counts, family="poisson", offset=np.log(counts["e"]))
    new = counts.iloc[:3].assign(a="another")
    few = fit.simulate(20_000, rng=1, newdata=new, offset=np.zeros(3)).mean(axis=1)
    many = fit.simulate(20_000, rng=1, newdata=new, offset=np.log([10.0] * 3)).mean(axis=1)
    np.testing.assert_allclose(many / few, 10, rtol=0.1)
    traps = reference.data("traps")
    fit = gl.glmer("beetles ~ shade + (1 | site)", traps, family="poisson", zi="~ shade")
    new = pd.DataFrame({"site": ["x", "y"], "shade": [0.1, 0.9]})
    found = fit.simulate(20_000, rng=1, newdata=new).mean(axis=1)
    np.testing.assert_allclose(found, fit.predict(new, re_form="marginal", allow_new_levels=True), rtol=0.06)


def test_curves_go_on_as_they_run():
    fit = gl.lmer("Reaction ~ s(Days, k=6) + (1 | Subject)", gl.load("sleepstudy"))
    Y = fit.simulate(20_000, rng=1, newdata=NEW)
    wanted = fit.predict(NEW, re_form="~0", allow_new_levels=True)
    np.testing.assert_allclose(Y.mean(axis=1), wanted, atol=1.5)


REFUSED = [
    (lambda f: f.simulate(newdata=NEW), ModelError, "random draws need a numpy Generator"),
    (lambda f: f.simulate(0, rng=1, newdata=NEW), ModelError, "n is the number of responses"),
    (lambda f: f.simulate(rng=1, weights=np.ones(180)), ModelError, "are for new data"),
    (lambda f: f.simulate(rng=1, newdata=NEW.assign(Days=np.nan)), DataError, "5 rows of newdata lack"),
    (
        lambda f: f.simulate(rng=1, newdata=NEW.assign(Subject=None)),
        DataError,
        "'Subject' is missing in 5 rows",
    ),
    (lambda f: f.simulate(rng=1, newdata=NEW[["Days"]]), DataError, "'Subject' is not a column"),
]


@pytest.mark.parametrize("ask, error, words", REFUSED, ids=[words for *_, words in REFUSED])
def test_refusals(sleep, ask, error, words):
    with pytest.raises(error, match=re.escape(words)):
        ask(sleep)


def test_blocks_of_residuals_are_refused():
    fit = gl.lmer("Reaction ~ Days", gl.load("sleepstudy"), residual="ar1(Days | Subject)")
    with pytest.raises(ModelError, match="residual="):
        fit.simulate(rng=1, newdata=NEW)


def test_no_rows_have_no_responses(sleep):
    assert len(sleep.simulate(rng=1, newdata=NEW[:0])) == 0
    assert sleep.simulate(3, rng=1, newdata=NEW[:0]).shape == (0, 3)


@pytest.mark.parametrize("family", ["negbinomial", "negbinomial1", "gamma", "beta", "betabinomial"])
def test_a_dispersion_that_runs_off_is_no_dispersion(family):
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"g": np.repeat(np.arange(8), 5), "x": rng.normal(size=40)})
    table["y"] = rng.negative_binomial(2, 0.2, 40) if "neg" in family else rng.beta(2.0, 2.0, 40)
    table = table.assign(s=rng.integers(0, 9, 40), r=lambda d: 9 - d["s"])
    response = "cbind(s, r)" if family == "betabinomial" else "y"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = gl.glmer(f"{response} ~ 1 + (1 | g)", table, family, dispersion="~ x")
    trials = [9] * 40 if family == "betabinomial" else None
    for far in (1e5, -1e5):
        with pytest.raises(DataError, match="dispersion is zero or infinite in 40 rows of the new data"):
            fit.simulate(rng=1, newdata=table.assign(x=far), weights=trials)


def test_a_sigma_that_runs_off_is_no_sigma():
    table = gl.load("sleepstudy")
    fit = gl.lmer("Reaction ~ 1 + (1 | Subject)", table, sigma="~ Days")
    for ask in (fit.predict, fit.simulate):
        options = {"rng": 1} if ask == fit.simulate else {"interval": "prediction"}
        with pytest.raises(DataError, match="sigma is zero or infinite in 180 rows of the new data"):
            ask(newdata=table.assign(Days=1e7), **options)
