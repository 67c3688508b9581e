"""Quadrature for a chain of nested factors: gradients against differences, values against a product rule that
knows nothing of modes, against the rule for one factor, and against a published three-level logit.

That is Rodriguez and Goldman (2001), *JRSS A* 164: at the maximum they print 1.716657 for kid2p and -1323.96
for the log-likelihood. A product rule of 25 x 25 points that are not adaptive (49 x 49 change no digit
shown), maximised without this library, has the SDs 2.317 of mothers and 1.025 of communities, 1.717 and
-1323.95. At the estimates of 15 points the log-likelihood errs by -47.3 with one point (Laplace), by -2.02
with 5, -0.027 with 9, 0.004 with 11, 0.001 with 15 and less than 1e-5 with 25; nearly all of it comes
from the innermost integral.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.covariance.groups import arrange
from glmmlib.design.build import build_design
from glmmlib.errors import ModelError
from glmmlib.families.registry import family, zero_inflated
from glmmlib.likelihood.glmm import LaplaceDeviance
from glmmlib.likelihood.quadrature import Quadrature
from support import reference_values as reference


def places(seed=3, towns=4, schools=3, rows=4):
    """Rows in schools in towns, with responses of several families."""
    rng = np.random.default_rng(seed)
    n = towns * schools * rows
    d = pd.DataFrame({"town": np.arange(n) // (schools * rows), "school": np.arange(n) // rows})
    d["x"] = rng.normal(size=n)
    d["land"] = d["town"] // 2
    eta = 0.3 + 0.5 * d["x"] + rng.normal(size=towns)[d["town"]] + rng.normal(size=n // rows)[d["school"]]
    d["binary"] = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    d["count"] = rng.poisson(np.exp(eta))
    d["positive"] = np.exp(eta) * rng.gamma(3.0, 1.0 / 3.0, n)
    return d.sample(frac=1.0, random_state=1)


def problem(formula, family_name, points=1, link=None, data=None, **auxiliary):
    """The deviance of a model, and a point away from its minimum."""
    fam = family(family_name, link)
    fam = zero_inflated(fam) if "zi" in auxiliary else fam
    modelled = {name: text for name, text in auxiliary.items() if text != "~ 1"}
    data = places() if data is None else data
    design = build_design(formula, data, None, None, "drop", auxiliary=modelled)
    y, prior = fam.check_response(design.y, design.trials, design.weights, design.response_name, design.index)
    groups, _ = arrange(design.random)
    columns = {own.name: (own.D, own.columns) for own in design.auxiliary}
    rule = None if points == 1 else Quadrature(points)
    deviance = LaplaceDeviance(fam, y, design.X, groups, prior, None, rule, columns)
    deviance.pirls_tolerance = 1e-13
    rng = np.random.default_rng(1)
    beta = deviance.R @ [0.3, 0.5][: deviance.p]
    tau = 0.3 + 0.1 * rng.normal(size=deviance.predictors.size)
    return deviance, deviance.join(beta, 0.7 + 0.2 * rng.random(deviance.n_theta), tau)


def silent(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gl.glmer(*args, **kwargs)


MODELS = {
    "binary": ("binary ~ x + (1 | town / school)", "binomial", {}),
    "slopes inside": ("count ~ x + (1 | town) + (x | school)", "poisson", {}),
    "slopes outside": ("count ~ x + (x | town) + (1 | school)", "poisson", {}),
    "dispersion": ("count ~ x + (1 | town / school)", "negbinomial", {"dispersion": "~ x"}),
    "zeros": ("count ~ 1 + (1 | town / school)", "negbinomial", {"zi": "~ 1"}),
    "gamma": ("positive ~ x + (1 | land / town / school)", "gamma", {"link": "log"}),
}


@pytest.mark.parametrize("points", [1, 2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_gradient(name, points):
    formula, family_name, more = MODELS[name]
    deviance, x = problem(formula, family_name, **more)
    deviance.quadrature = Quadrature(points)
    gradient, h = deviance.gradient(x), 1e-4
    numerical = [
        (deviance.evaluate(x + e)[0] - deviance.evaluate(x - e)[0]) / (2.0 * h) for e in h * np.eye(len(x))
    ]
    np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("name", MODELS)
def test_one_point_is_laplace(name):
    formula, family_name, more = MODELS[name]
    deviance, x = problem(formula, family_name, **more)
    value, gradient, _ = deviance.evaluate(x)
    deviance.quadrature = Quadrature(1)
    again, same, _ = deviance.evaluate(x)
    assert again == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(same, gradient, atol=1e-8 * np.abs(gradient).max())


def product_rule(deviance, x, n_points=60):
    """-2 log L by points that are laid out around zero: for intercepts in schools in towns."""
    beta, Lambdas, dispersion = deviance.split(x)
    inner, outer = deviance.structure.factors
    t, w = np.polynomial.hermite_e.hermegauss(n_points)
    log_w = np.log(w / w.sum())
    town = np.zeros(inner.n_levels, dtype=int)
    town[inner.codes] = outer.codes
    total = np.empty((n_points, outer.n_levels))
    for j, outer_t in enumerate(t):
        shift = beta @ deviance.Q + Lambdas[1][0, 0] * outer.Z[0] * outer_t
        rows = [shift + Lambdas[0][0, 0] * inner.Z[0] * inner_t for inner_t in t]
        logs = deviance.family.logpdf(deviance.y, np.array(rows), deviance.weights, dispersion)
        schools = np.array([np.bincount(inner.codes, row, minlength=inner.n_levels) for row in logs])
        schools = np.logaddexp.reduce(schools + log_w[:, None], axis=0)
        total[j] = np.bincount(town, schools, minlength=outer.n_levels) + log_w[j]
    return -2.0 * np.logaddexp.reduce(total, axis=0).sum()


@pytest.mark.parametrize("name", ["binary", "dispersion"])
def test_values_go_to_those_of_a_plain_product_rule(name):
    formula, family_name, more = MODELS[name]
    deviance, x = problem(formula, family_name, **more)
    exact, errors = product_rule(deviance, x), []
    for points in (1, 5, 9, 25):
        deviance.quadrature = Quadrature(points)
        errors.append(abs(deviance.evaluate(x)[0] - exact))
    assert errors[0] > 0.05  # Laplace
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6


@pytest.mark.parametrize(("zero", "left"), [(0, "school"), (1, "town")])
def test_without_variation_of_one_factor_it_is_the_rule_for_the_other(zero, left):
    both, x = problem(*MODELS["binary"][:2], 7)
    one, _ = problem(f"binary ~ x + (1 | {left})", "binomial", 7)
    x[both.p + zero] = 0.0
    alone = np.delete(x, both.p + zero)
    value, gradient, _ = both.evaluate(x)
    other, slope, _ = one.evaluate(alone)
    assert value == pytest.approx(other, rel=1e-12)
    np.testing.assert_allclose(np.delete(gradient, both.p + zero), slope, atol=1e-8)


def test_larger_groups_with_more_columns_are_still_the_outer_ones():
    d = places(towns=10, schools=1, rows=6)
    d["town"] //= 2
    d["school"] = 2 * d["town"] + (d["x"] > 0)
    deviance, _ = problem("count ~ x + (1 + x + I(x**2) || town) + (1 | school)", "poisson", 2, data=d)
    assert [f.name for f in deviance.structure.factors] == ["school", "town"]
    assert [f.n_columns for f in deviance.structure.factors] == [10, 15]
    assert not deviance.structure.crossed


def test_a_published_three_level_logit():
    table = reference.data("guImmun")
    formula = "immun ~ kid2p + mom25p + ord + ethn + momEd + husEd + momWork + rural + pcInd81"
    fit = gl.glmer(f"{formula} + (1 | comm / mom)", table, family="binomial", n_agq=11)
    sds = [float(fit.varcorr[name].sd.iloc[0]) for name in ("comm:mom", "comm")]
    assert sds == pytest.approx([2.317, 1.025], abs=3e-3)
    assert fit.params["kid2p[T.Y]"] == pytest.approx(1.716657, abs=2e-3)
    assert fit.llf == pytest.approx(-1323.95, abs=0.01)


@pytest.fixture(scope="module")
def fit():
    return silent("binary ~ x + (1 | town / school)", places(towns=12, schools=4), family="binomial", n_agq=5)


def test_everything_after_the_fit(fit, tmp_path):
    fit.save(tmp_path / "fit")
    again = gl.load_fit(tmp_path / "fit")
    assert again.deviance == fit.deviance
    assert str(again.summary()) == str(fit.summary())
    assert "adaptive Gauss-Hermite quadrature, 5 points" in str(fit.summary())
    y = fit.simulate(rng=np.random.default_rng(1))
    many = fit.refit_many(y.to_numpy()[:, None])
    assert many.params.iloc[0].to_numpy() == pytest.approx(
        fit.refit(y, warn=False).params.to_numpy(), abs=1e-6
    )
    assert fit.update("~ . - x").n_agq == 5
    np.testing.assert_allclose(fit.predict(fit.design.data), fit.fittedvalues)
    assert set(fit.ranef(cond_sd=True)) == set(fit.ranef())
    assert gl.anova(fit.update("~ . - x"), fit).table["p"].iloc[-1] < 1.0


def test_profile_of_a_spread(fit):
    """The deviance rises on both sides of the estimate, and an SD has a held coordinate of its own."""
    name = "sd town.Intercept"
    low, high = gl.profile(fit, name, level=0.5).conf_int(0.5).loc[name]
    assert low < fit.varcorr["town"].sd["Intercept"] < high


def test_crossed_factors_have_no_quadrature():
    d = places().assign(day=lambda d: np.arange(len(d)) % 5)
    for random in ("(1 | town) + (1 | day)", "(1 | town / school) + (1 | day)"):
        with pytest.raises(ModelError, match="cross each other: the integral does not split"):
            gl.glmer(f"binary ~ x + {random}", d, family="binomial", n_agq=5)


def test_too_many_points_say_how_many_are_done():
    with pytest.raises(ModelError, match=r"25\^4 points for each row; up to 20,000 are done: use n_agq=11"):
        gl.glmer("binary ~ x + (x | town / school)", places(), family="binomial", n_agq=25)
