"""Data on which fits go wrong: boundaries, several optima, degenerate designs, extreme scales."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import block_diag
from scipy.optimize import minimize, minimize_scalar

import glmmlib as gl
from glmmlib.errors import DataError, GlmmlibWarning, ModelError, RankDeficientWarning, SingularFitWarning
from glmmlib.theory import dense
from support import reference_values as rv


def quiet(formula, table, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        return gl.lmer(formula, table, **options)


def dense_objective(fit):
    """The dense reference's criterion as a function of theta in the units of the fit; weights worked in."""
    Z, w = fit.Z.toarray(), np.ones(fit.nobs) if fit.design.weights is None else fit.design.weights
    root = np.sqrt(w)

    def Lambda(theta):
        return block_diag(*[np.kron(np.eye(len(g.levels)), g.covariance.factor(theta)) for g in fit.groups])

    def value(theta):
        y, X = fit.design.y * root, fit.X * root[:, None]
        return dense.profiled_deviance(theta, y, X, Z * root[:, None], Lambda, fit.reml)[0] - np.log(w).sum()

    return value


def best_of_many_starts(fit, n_starts=6):
    """The lowest point that scipy's L-BFGS finds from random starts, judged by the dense solver."""
    rng, best = np.random.default_rng(9), None
    size = len(fit.theta)
    for scale in np.geomspace(0.1, 3.0, n_starts):
        found = minimize(
            _value_and_gradient,
            scale * rng.normal(size=size),
            args=(fit.solution.problem,),
            jac=True,
            method="L-BFGS-B",
        )
        if best is None or found.fun < best.fun:
            best = found
    return dense_objective(fit)(fit.solution.problem.covariance.to_user(best.x))


def _value_and_gradient(theta, problem):
    value, gradient = problem.objective(theta)
    return (value, gradient()) if np.isfinite(value) else (1e10, np.zeros_like(theta))


def weak_data(seed):
    """Three to eleven groups of two to six rows, with variances that are often zero and correlations often
    one.
    """
    rng = np.random.default_rng(seed)
    J, m = rng.integers(3, 12), rng.integers(3, 7)
    g = np.repeat(np.arange(J), m)
    x = rng.normal(size=g.size) if rng.random() < 0.5 else np.tile(np.arange(float(m)), J)
    sd, slope, rho = (
        rng.choice([0, 0.2, 0.5, 1]),
        rng.choice([0, 0.1, 0.3, 1]),
        rng.choice([-1, -0.9, 0, 0.5, 1]),
    )
    z = rng.normal(size=(2, J))
    b = sd * z[0], slope * (rho * z[0] + np.sqrt(1 - rho**2) * z[1])
    y = 1 + x + b[0][g] + b[1][g] * x + rng.normal(size=g.size)
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": rng.integers(0, 4, g.size)})


# -- boundaries and several optima ---------------------------------------------------------------------


@pytest.mark.parametrize("reml", [False, True], ids=["ml", "reml"])
def test_two_hundred_weak_random_intercepts(reml):
    """Never above the best point of a grid with a local search around it."""
    grid, singular = np.concatenate([[0.0], np.geomspace(0.01, 20, 25)]), 0
    for seed in range(100):
        fit = quiet("y ~ x + (1 | g)", weak_data([seed, reml]), reml=reml)
        value = dense_objective(fit)
        values = [value([t]) for t in grid]
        k = int(np.argmin(values))
        around = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
        best = min(
            values[k], minimize_scalar(lambda t, value=value: value([t]), bounds=around, method="bounded").fun
        )
        assert fit.deviance <= best + 1e-6, seed
        assert fit.is_singular == (fit.theta.iloc[0] == 0), seed
        singular += fit.is_singular
    assert 10 < singular < 90


@pytest.mark.parametrize("reml", [False, True], ids=["ml", "reml"])
def test_a_hundred_weak_random_slopes(reml):
    """Never above the best of many starts."""
    singular = 0
    for seed in range(50):
        fit = quiet("y ~ x + (x | g)", weak_data([seed, reml]), reml=reml)
        assert fit.deviance <= best_of_many_starts(fit) + 1e-6, seed
        singular += fit.is_singular
    assert 5 < singular < 45


@pytest.mark.parametrize(
    "formula", ["y ~ x + (x || g)", "y ~ x + (1 | g) + (1 | h)", "y ~ x + (x | g) + (1 | h)"]
)
def test_other_weak_models(formula):
    for seed in range(20):
        fit = quiet(formula, weak_data([seed, 2]), reml=bool(seed % 2))
        assert fit.deviance <= best_of_many_starts(fit) + 1e-6, seed


SECOND_VALLEYS = {
    "y ~ x + (x || g)": (
        False,
        {
            "y": [1.42, 2.92, 2.88, 1.93, 3.73, -0.35, 1.7, 0.9, 0.76],
            "x": [0.26, 3.75, -0.21, -0.11, 0.79, -0.83, 0.56, -1.29, 0.07],
            "g": [0, 0, 0, 1, 1, 1, 2, 2, 2],
        },
    ),
    "y ~ x + (1 | g) + (1 | h)": (
        True,
        {
            "y": [2.64, 0.07, 1.94, 2.87, -0.01, 0.35, 1.63, 0.06, 0.9, 0.73, 1.53, 1.24, -0.77, 2.2],
            "x": [0.72, 0.15, 2.38, 1.14, -0.32, -0.35, -0.45, -0.3, 0.72, -0.6, -0.04, 0.99, -1.94, -0.89],
            "g": [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3],
            "h": [0, 1, 0, 0, 3, 3, 1, 3, 1, 3, 3, 1, 2, 1],
        },
    ),
}


@pytest.mark.parametrize("formula", SECOND_VALLEYS)
def test_a_second_valley_beyond_a_barrier(formula):
    """Both variances zero is a local minimum of these few rows; a lower one lies far off."""
    reml, columns = SECOND_VALLEYS[formula]
    fit = quiet(formula, pd.DataFrame(columns), reml=reml)
    origin = fit.objective([0.0, 0.0])
    assert min(fit.objective([0.0, 0.1]), fit.objective([0.1, 0.0])) > origin
    assert fit.deviance < origin - 0.4
    assert fit.deviance <= best_of_many_starts(fit) + 1e-6


def test_dyestuff2_has_no_variance_and_says_so():
    with pytest.warns(
        SingularFitWarning, match="the variance of Intercept between the levels of Batch is estimated as zero"
    ):
        fit = gl.lmer("Yield ~ 1 + (1 | Batch)", rv.data("Dyestuff2"))
    assert fit.theta.iloc[0] == 0 and fit.is_singular and fit.convergence.converged
    assert (fit.ranef()["Batch"] == 0).all(axis=None)


# -- degenerate designs -----------------------------------------------------------------------------------


def test_rank_deficient_x():
    table = rv.data("sleepstudy")
    with pytest.warns(RankDeficientWarning, match=r"I\(2 \* Days\)"):
        fit = gl.lmer("Reaction ~ Days + I(2*Days) + (Days | Subject)", table)
    assert list(fit.params.index) == ["Intercept", "Days"]
    assert fit.deviance == pytest.approx(1743.6283, abs=1e-4)


def test_two_groups_and_one_group():
    table = weak_data(3).assign(two=lambda t: t["g"] % 2, one=1)
    fit = quiet("y ~ x + (x | two)", table)
    assert fit.deviance <= best_of_many_starts(fit) + 1e-6
    with pytest.raises(DataError, match="'one' has one level only"):
        gl.lmer("y ~ x + (1 | one)", table)


def test_no_fixed_effects_at_all():
    table = rv.data("sleepstudy")
    table["D"] = table["Days"].astype(str)
    for formula in (
        "Reaction ~ 0 + (1 | Subject)",
        "Reaction ~ 0 + (Days | Subject)",
        "Reaction ~ 0 + (1 | Subject) + (1 | D)",
    ):
        fit = gl.lmer(formula, table)
        assert len(fit.params) == 0 and fit.cov_params().shape == (0, 0)
        assert fit.deviance == pytest.approx(gl.lmer(formula, table, reml=False).deviance, abs=1e-6)
        assert fit.deviance == pytest.approx(dense_objective(fit)(fit.theta.to_numpy()), abs=1e-6)


def test_nothing_random_is_refused():
    with pytest.raises(ModelError, match="no random-effects term"):
        gl.lmer("Reaction ~ Days", rv.data("sleepstudy"))
    with pytest.raises(ModelError, match="no random-effects term"):
        gl.lmer("Reaction ~ 0", rv.data("sleepstudy"))


def test_the_same_partition_under_two_names():
    """batch:cask and sample cut the data alike: the sum of their variances is what the data know."""
    table = rv.data("Pastes")
    one = gl.lmer("strength ~ 1 + (1 | sample)", table)
    two = gl.lmer("strength ~ 1 + (1 | batch:cask) + (1 | sample)", table)
    assert two.deviance == pytest.approx(one.deviance, abs=1e-6)
    assert (two.theta**2).sum() == pytest.approx((one.theta**2).sum(), rel=1e-4)


def test_many_effects_in_one_group():
    """A factor's slopes, three and four columns, correlated or not."""
    machines, boys = rv.data("Machines"), rv.data("Oxboys")
    cells = gl.lmer("score ~ Machine + (0 + Machine | Worker)", machines)
    assert gl.lmer("score ~ Machine + (Machine | Worker)", machines).deviance == pytest.approx(
        cells.deviance, abs=1e-6
    )
    for formula in (
        "height ~ age + (age + I(age**2) + I(age**3) | Subject)",
        "height ~ age + (age + I(age**2) || Subject)",
    ):
        fit = quiet(formula, boys)
        assert fit.convergence.converged
        assert fit.deviance == pytest.approx(dense_objective(fit)(fit.theta.to_numpy()), abs=1e-5)
    plain, far = (
        gl.lmer("height ~ a + I(a**2) + (a + I(a**2) | Subject)", boys.assign(a=boys["age"] + c))
        for c in (0, 1e3)
    )
    assert far.deviance == pytest.approx(plain.deviance, abs=1e-4)


# -- without residual variation ------------------------------------------------------------------------------

EXACT = {
    "fixed": ("y ~ x + (1 | g)", lambda g, x: 1 + 2 * x, "the fixed effects reproduce the response exactly"),
    "group means": (
        "y ~ x + (1 | g)",
        lambda g, x: 1 + 2 * x + g,
        "the random effects reproduce the response",
    ),
    "lines": ("y ~ x + (x | g)", lambda g, x: g + (g % 3) * x, "the random effects reproduce the response"),
    "constant in groups": (
        "y ~ 1 + (1 | g)",
        lambda g, x: g * 1.0,
        "the random effects reproduce the response",
    ),
    "constant": ("y ~ 1 + (1 | g)", lambda g, x: 0 * x + 3, "the response 'y' is constant"),
}


@pytest.mark.parametrize("case", EXACT)
def test_an_exact_fit_is_refused(case):
    """The likelihood grows without bound as sigma shrinks: no number would be an answer."""
    formula, response, message = EXACT[case]
    g, x = np.repeat(np.arange(6), 5), np.tile(np.arange(5.0), 6)
    with pytest.raises(ModelError, match=message):
        quiet(formula, pd.DataFrame({"g": g, "x": x, "y": response(g, x)}))


def test_as_many_effects_as_rows_is_refused():
    """Fixed and random effects of two factors span all four rows."""
    table = pd.DataFrame(
        {
            "y": [-0.43, -0.9, 1.18, 1.03],
            "x": [-1.57, -1.19, -0.72, 0.86],
            "g": [0, 1, 2, 2],
            "h": [0, 1, 1, 0],
        }
    )
    with pytest.raises(ModelError, match="without residual variation"):
        quiet("y ~ x + (1 | g) + (1 | h)", table, reml=False)


def test_small_residuals_are_no_exact_fit():
    """Noise of 1e-4 beside groups 1 apart, and of 1e-9 around an exact line."""
    rng = np.random.default_rng(4)
    g, x, e = np.repeat(np.arange(6), 5), np.tile(np.arange(5.0), 6), rng.normal(size=30)
    groups = gl.lmer("y ~ 1 + (1 | g)", pd.DataFrame({"g": g, "y": g + 1e-4 * e}))
    within = np.sqrt(pd.Series(e).groupby(g).var().mean())
    assert groups.sigma == pytest.approx(1e-4 * within, rel=1e-4)
    assert groups.theta.iloc[0] == pytest.approx(np.std(np.arange(6), ddof=1) / groups.sigma, rel=1e-2)
    line = quiet("y ~ x + (1 | g)", pd.DataFrame({"g": g, "x": x, "y": 1 + 2 * x + 1e-9 * e}))
    pure = quiet("y ~ x + (1 | g)", pd.DataFrame({"g": g, "x": x, "y": e}))
    assert line.sigma == pytest.approx(1e-9 * pure.sigma, rel=1e-4)


# -- extreme scales -------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [1e-150, 1e-8, 1e8, 1e150])
def test_units_of_the_response(c):
    table = rv.data("sleepstudy")
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", table.assign(Reaction=c * table["Reaction"]))
    assert fit.deviance == pytest.approx(1743.6282720 + 2 * 178 * np.log(c), abs=1e-4)
    np.testing.assert_allclose(fit.params, [251.4051 * c, 10.46729 * c], rtol=1e-6)


@pytest.mark.parametrize("c", [1e-12, 1e-6, 1e8, 1e12])
def test_units_of_the_weights(c):
    table = rv.data("sleepstudy")
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", table, weights=np.full(len(table), c))
    assert fit.deviance == pytest.approx(1743.6282720, abs=1e-4)
    assert fit.sigma == pytest.approx(25.5918 * np.sqrt(c), rel=1e-5)
    np.testing.assert_allclose(fit.varcorr["Subject"].sd, [24.7404, 5.92213], rtol=1e-4)
    assert not fit.is_singular


@pytest.mark.parametrize("formula", ["Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (Days | Subject)"])
def test_weights_over_eight_orders_of_magnitude(formula):
    table = rv.data("sleepstudy")
    weights = 10.0 ** np.random.default_rng(5).uniform(-4, 4, len(table))
    fit = quiet(formula, table, weights=weights, reml=False)
    value = dense_objective(fit)
    assert fit.deviance == pytest.approx(value(fit.theta.to_numpy()), abs=1e-4)
    scale = fit.theta.to_numpy()
    others = (minimize(value, start * scale, method="Nelder-Mead").fun for start in (0.5, 1.0, 2.0))
    assert fit.deviance <= min(others) + 1e-5


def test_a_factor_that_is_fixed_and_random_is_refused():
    data = pd.DataFrame({"g": np.repeat(list("abcdef"), 4), "x": np.tile([0.0, 1.0, 2.0, 4.0], 6)})
    data["y"] = np.random.default_rng(1).normal(size=24)
    with pytest.raises(ModelError, match="a column for every level of 'g' already"):
        gl.lmer("y ~ x + g + (1 | g)", data)
    assert gl.lmer("y ~ x + (1 | g)", data).nobs == 24


@pytest.mark.parametrize("reml", ["ML", "False", None, 0, 1, "REML"])
def test_reml_is_true_or_false(reml):
    with pytest.raises(ModelError, match="reml is True or False, not"):
        gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), reml=reml)
