"""Counts that are never zero: their mean, their draws, the ends of their range, and what is refused.

Against R: tests/models/test_auxiliary_predictors.py. Every room: tests/families.
"""

import mpmath
import numpy as np
import pytest

import glmmlib as gl
from glmmlib.errors import DataError, ModelError, SeparationWarning
from glmmlib.families.registry import family
from support import reference_values as rv

FORMULA = "beetles ~ shade + (1 | site)"
both = pytest.mark.parametrize("name", ["truncated_poisson", "truncated_negbinomial"])


@pytest.fixture(scope="module")
def traps():
    return rv.data("traps").query("beetles > 0")


@pytest.fixture(scope="module")
def fit(traps):
    return gl.glmer(FORMULA, traps, family="truncated_negbinomial")


@both
@pytest.mark.parametrize("eta", [-30.0, -12.0, -1.0, 2.0, 9.0])
def test_derivatives_keep_their_digits(name, eta):
    """Where nearly all counts would be zeros, 1 - p(0) and its derivatives are differences of near equals."""
    k, y = (None, 3.0) if name == "truncated_poisson" else (0.7, 3.0)

    def log_density(x):
        mu = mpmath.exp(x)
        if k is None:
            return y * x - mu - mpmath.log(-mpmath.expm1(-mu))
        lost = k * mpmath.log1p(mu / k)
        return y * x - (y + k) * mpmath.log1p(mu / k) - mpmath.log(-mpmath.expm1(-lost))

    found = family(name).derivatives(np.array([y]), np.array([eta]), None, k)
    with mpmath.workdps(60):
        exact = [float(s * mpmath.diff(log_density, eta, n)) for n, s in enumerate((1, 1, -1, -1))]
    np.testing.assert_allclose(np.ravel(found), exact, rtol=1e-9, atol=1e-14)


@both
def test_far_out_everything_is_finite(name):
    own, k = family(name), None if name == "truncated_poisson" else 0.7
    eta = np.array([-1e4, -650.0, -40.0, 0.0, 40.0, 600.0])
    for y in (1.0, 3.0):
        d = own.derivatives(np.full(6, y), eta, None, k)
        assert all(np.isfinite(part).all() for part in d) and (own.fisher(eta, None, k) > 0).all()
        assert np.isfinite(own.variance(np.exp(eta[:5]), None, k)).all()
    mean = own.mean(eta, k)
    assert (mean >= 1).all() and mean[0] == pytest.approx(1) and (np.diff(mean) >= 0).all()
    assert (own.draw(eta[:4], None, k, np.random.default_rng(1))[:3] == 1).all()


def test_a_zero_has_no_probability():
    own = family("truncated_poisson")
    assert own.logpdf(np.zeros(1), np.zeros(1))[0] == -np.inf
    total = np.exp(own.logpdf(np.arange(1.0, 40.0), np.zeros(39))).sum()
    assert total == pytest.approx(1)


def test_means_draws_and_intervals_start_at_one(fit, traps):
    mean = fit.predict()
    mu, k = np.exp(fit.predict(kind="link")), fit.dispersion
    np.testing.assert_allclose(mean, mu / (1 - (k / (k + mu)) ** k))
    np.testing.assert_allclose(fit.predict(kind="conditional"), mean)
    assert fit.resid.mean() == pytest.approx(0, abs=0.05 * mean.mean())
    Y = fit.simulate(200, rng=np.random.default_rng(1), conditional=True)
    assert Y.min() == 1
    np.testing.assert_allclose(Y.mean(axis=1), mean, rtol=0.4)
    band = fit.predict(traps.head(40), interval="prediction")
    assert band["lower"].min() == 1 and (band["upper"] > band["estimate"]).all()
    means = gl.means(fit, "shade", at={"shade": [-3, 0, 3]}).table
    assert (means["lower"] > 1).all()
    near = fit.predict(traps.assign(shade=-40.0), re_form="~0", interval="confidence")
    assert (near >= 1).all(axis=None)
    average, typical = fit.predict(re_form="marginal"), fit.predict(re_form="~0")
    assert (average > typical).all()


def test_the_poisson_is_a_limit_of_the_negative_binomial(fit):
    test = " ".join(str(gl.anova(fit.update(family="truncated_poisson"), fit)).split())
    assert "the dispersion phi is infinite (a Poisson distribution); null distribution: 0.5 chi2(0)" in test
    with pytest.raises(ModelError, match="different families"):
        gl.anova(fit.update(family="poisson"), fit)


@both
@pytest.mark.parametrize(
    "value, sentence",
    [
        (0.0, "counts are never zero, but 'beetles' holds 0 in 1 row"),
        (-2.0, "Counts are never negative"),
        (1.5, "Counts are whole numbers"),
        (np.inf, "'beetles' of the data is infinite"),
    ],
)
def test_what_is_no_such_count_is_refused(traps, name, value, sentence):
    bad = traps.assign(beetles=traps["beetles"].where(np.arange(len(traps)) != 5, value))
    with pytest.raises(DataError, match=sentence) as refusal:
        gl.glmer(FORMULA, bad, family=name)
    assert "\n" not in str(refusal.value)


def test_two_columns_and_names_of_r_are_refused(traps):
    with pytest.raises(DataError, match="needs family='binomial', not 'truncated_poisson'"):
        gl.glmer("cbind(beetles, beetles) ~ shade + (1 | site)", traps, family="truncated_poisson")
    with pytest.raises(ModelError, match="did you mean 'truncated_negbinomial'"):
        gl.glmer(FORMULA, traps, family="truncated_nbinom2")
    with pytest.raises(ModelError, match="no link 'sqrt'; it has 'log'"):
        gl.glmer(FORMULA, traps, family="truncated_poisson", link="sqrt")


def test_a_level_of_ones_has_no_finite_estimate(traps):
    rare = traps.assign(rare=np.where(traps["site"].cat.codes < 3, "yes", "no"))
    rare.loc[rare["rare"] == "yes", "beetles"] = 1
    with pytest.warns(SeparationWarning, match=r"T.yes\] has no finite.*nothing but counts of one"):
        gl.glmer("beetles ~ rare + (1 | site)", rare, family="truncated_poisson")
    with pytest.warns(SeparationWarning, match="every count is one"):
        gl.glmer(FORMULA, traps.assign(beetles=1), family="truncated_poisson")


def test_an_icc_is_refused(fit):
    with pytest.raises(ModelError, match="no residual variance"):
        gl.icc(fit)
