"""Shrinkage: the exact relation of raw estimates and conditional modes."""

import warnings

import numpy as np
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError, SingularFitWarning
from support import reference_values as rv


@pytest.fixture(scope="module")
def sleep():
    return rv.data("sleepstudy")


@pytest.fixture(scope="module")
def slopes(sleep):
    return gl.lmer("Reaction ~ Days + (Days | Subject)", sleep)


def raw_and_shrunken(found):
    table = found.table
    return [table[[c for c in table if c.split()[0] == word]].to_numpy() for word in ("raw", "shrunken")]


def test_random_intercept_agrees_with_lme4(sleep):
    theirs = rv.extra("shrinkage_sleep_ri")
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    found = gl.shrinkage(fit)
    assert [str(level) for level in found.table.index] == theirs["mixed"]["levels"]
    np.testing.assert_allclose(found["factor"], theirs["shrinkage_factor"], rtol=1e-5)
    np.testing.assert_allclose(found["shrunken"], np.ravel(theirs["mixed"]["ranef"]), atol=1e-4 * fit.sigma)
    assert (found["n"] == 10).all()


def test_random_slopes_agree_with_lme4(slopes):
    """The raw effects are those of 18 separate regressions, as deviations from the fixed effects."""
    theirs = rv.extra("shrinkage_sleep_rs")
    raw, shrunken = raw_and_shrunken(gl.shrinkage(slopes))
    np.testing.assert_allclose(raw + slopes.params.to_numpy(), theirs["within_subject_ols"], rtol=1e-8)
    sd = slopes.varcorr["Subject"].sd.to_numpy()
    assert np.abs((shrunken - np.array(theirs["mixed"]["ranef"])) / sd).max() < 1e-4
    kept = 1 - np.array(theirs["mixed"]["condsd"]) ** 2 / sd**2
    np.testing.assert_allclose(gl.shrinkage(slopes).table[["kept Intercept", "kept Days"]], kept, atol=1e-4)


def test_the_formula_of_a_random_intercept():
    """Unbalanced: n theta^2 / (1 + n theta^2), times the mean residual from the GLS line, exactly."""
    table = rv.data("Exam")
    fit = gl.lmer("normexam ~ standLRT + (1 | school)", table)
    found = gl.shrinkage(fit)
    n, t2 = found["n"].to_numpy(), fit.theta.iloc[0] ** 2
    residual = table["normexam"] - fit.X @ fit.params.to_numpy()
    np.testing.assert_allclose(found["factor"], n * t2 / (1 + n * t2), rtol=1e-12)
    means = residual.groupby(table["school"], observed=True).mean()
    np.testing.assert_allclose(found["raw"], means, atol=1e-12)
    np.testing.assert_allclose(found["shrunken"], found["factor"] * found["raw"], atol=1e-12)
    assert found["n"].nunique() > 5


CASES = {
    "slopes": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {}, "Subject"),
    "weights": ("Reaction ~ Days + (Days | Subject)", "sleepstudy", {"weights": "w"}, "Subject"),
    "weights, one effect": ("Reaction ~ Days + (1 | Subject)", "sleepstudy", {"weights": "w"}, "Subject"),
    "offset": ("Reaction ~ 1 + (Days | Subject)", "sleepstudy", {"offset": "o"}, "Subject"),
    "uncorrelated": ("Reaction ~ Days + (Days || Subject)", "sleepstudy", {}, "Subject"),
    "slope alone": ("Reaction ~ Days + (0 + Days | Subject)", "sleepstudy", {}, "Subject"),
    "far from zero": ("Reaction ~ I(Days + 1e4) + (I(Days + 1e4) | Subject)", "sleepstudy", {}, "Subject"),
    "three effects": ("score ~ Machine + (Machine | Worker)", "Machines", {}, "Worker"),
    "crossed, plates": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", {}, "plate"),
    "crossed, samples": ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin", {}, "sample"),
    "nested, casks": ("strength ~ 1 + (1 | batch/cask)", "Pastes", {}, "batch:cask"),
    "nested, batches": ("strength ~ 1 + (1 | batch/cask)", "Pastes", {}, "batch"),
    "crossed slopes": ("y ~ x + (x | a) + (1 | b)", "sim_crossed", {}, "a"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_weights_turn_raw_into_shrunken(case):
    formula, name, options, group = CASES[case]
    table = rv.data(name)
    table["w"], table["o"] = np.linspace(0.5, 4, len(table)), 10.0 * np.arange(len(table)) / len(table)
    fit = gl.lmer(formula, table, **options)
    found = gl.shrinkage(fit, group)
    raw, shrunken = raw_and_shrunken(found)
    scale = np.abs(shrunken).max(axis=0)
    np.testing.assert_allclose(
        np.einsum("jab,jb->ja", found.weights, raw) / scale, shrunken / scale, atol=1e-6
    )
    np.testing.assert_allclose(shrunken, fit.ranef()[group], rtol=1e-12)
    shares = found.table[[c for c in found.table if c.split()[0] in ("factor", "kept")]].to_numpy()
    assert ((shares >= 0) & (shares <= 1)).all()


def test_small_icc_but_hardly_any_shrinkage():
    """The factor depends on n as well: an ICC of .05 and 200 rows in a group give .91."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(60), 200)
    y = rng.normal(scale=np.sqrt(0.05), size=60)[g] + rng.normal(scale=np.sqrt(0.95), size=g.size)
    fit = gl.lmer("y ~ 1 + (1 | g)", {"y": y, "g": g})
    rho = float(gl.icc(fit))
    np.testing.assert_allclose(gl.shrinkage(fit)["factor"], 200 * rho / (1 + 199 * rho), rtol=1e-10)
    assert 0.85 < gl.shrinkage(fit)["factor"].iloc[0] < 0.95


def test_groups_too_small_for_a_line_of_their_own(sleep):
    """One row for subject 308: no raw line, but a conditional mode."""
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", sleep.iloc[9:])
    table = gl.shrinkage(fit).table
    assert table["n"].iloc[0] == 1
    assert table.filter(like="raw").iloc[0].isna().all()
    assert table.filter(like="raw").iloc[1:].notna().all(axis=None)
    assert table.filter(like="shrunken").notna().all(axis=None)


def test_without_variance_nothing_is_left():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        fit = gl.lmer("Yield ~ 1 + (1 | Batch)", rv.data("Dyestuff2"))
    found = gl.shrinkage(fit)
    assert (found["factor"] == 0).all() and (found["shrunken"] == 0).all() and (found["raw"] != 0).all()


def test_shown_and_refused(slopes):
    assert "Shrinkage of the random effects of Subject" in repr(gl.shrinkage(slopes))
    assert "kept Days" in gl.shrinkage(slopes)._repr_html_()
    with pytest.raises(ModelError, match=r"several grouping factors \(plate, sample\): name one"):
        gl.shrinkage(gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", rv.data("Penicillin")))
    with pytest.raises(ModelError, match="no grouping factor 'Days'"):
        gl.shrinkage(slopes, "Days")
    counts = gl.glmer("y ~ trt + (1 | subject)", rv.data("epil"), family="poisson")
    with pytest.raises(ModelError, match="no shrinkage factor"):
        gl.shrinkage(counts)
