"""Families: log-densities, their derivatives, draws, variances and messages."""

import pickle
import warnings

import mpmath as mp
import numpy as np
import pytest
import statsmodels.api as sm
from scipy import integrate, special, stats

from glmmlib.errors import DataError, ModelError
from glmmlib.families.base import Family
from glmmlib.families.binomial import Binomial
from glmmlib.families.counts import NegativeBinomial, Poisson
from glmmlib.families.densities import log_normal
from glmmlib.families.gamma import Gamma
from glmmlib.families.registry import FAMILIES, family
from glmmlib.families.special import digamma_remainder, log1pmx, per_count, stirling_remainder

mp.mp.dps = 60

# (family, link, dispersion, weights): weights are trials for the binomial
PAIRS = [
    ("binomial", "logit", None, None),
    ("binomial", "probit", None, None),
    ("binomial", "cloglog", None, None),
    ("binomial", "logit", None, 7.0),
    ("binomial", "probit", None, 7.0),
    ("binomial", "cloglog", None, 7.0),
    ("poisson", "log", None, None),
    ("poisson", "sqrt", None, None),
    ("poisson", "identity", None, 2.5),
    ("negbinomial", "log", 0.3, None),
    ("negbinomial", "log", 12.0, 2.5),
    ("negbinomial", "log", 1e8, None),
    ("gamma", "log", 0.4, None),
    ("gamma", "log", 1e-9, None),
    ("gamma", "inverse", 0.4, 2.5),
    ("gamma", "inverse", 1e-9, None),
]
IDS = [f"{f}-{link}-{d}-{w}" for f, link, d, w in PAIRS]


def responses(name, weights):
    if name == "binomial":
        return [0.0, 1.0] if weights is None else [0.0, 2.0, weights]
    return [0.4, 1.0, 9.7] if name == "gamma" else [0.0, 1.0, 14.0]


def exact_logpdf(name, link, y, eta, weights, tau):
    """The textbook formula in 60 digits."""
    y, w = mp.mpf(y), mp.mpf(1 if weights is None else weights)
    if name == "binomial":
        log_p, log_q = {
            "logit": lambda e: (-mp.log1p(mp.exp(-e)), -mp.log1p(mp.exp(e))),
            "probit": lambda e: (mp.log(mp.erfc(-e / mp.sqrt(2)) / 2), mp.log(mp.erfc(e / mp.sqrt(2)) / 2)),
            "cloglog": lambda e: (mp.log(-mp.expm1(-mp.exp(e))), -mp.exp(e)),
        }[link](eta)
        return mp.log(mp.binomial(w, y)) + y * log_p + (w - y) * log_q
    mu = {"log": mp.exp, "sqrt": lambda e: e**2, "identity": lambda e: e, "inverse": lambda e: 1 / e}[link](
        eta
    )
    if name == "poisson":
        return w * (y * mp.log(mu) - mu - mp.loggamma(y + 1))
    if name == "negbinomial":
        k = mp.exp(tau)
        gammas = mp.loggamma(y + k) - mp.loggamma(k) - mp.loggamma(y + 1)
        return w * (gammas + y * mp.log(mu / (mu + k)) + k * mp.log(k / (mu + k)))
    a = w / mp.exp(tau)
    return a * mp.log(a * y / mu) - a * y / mu - mp.log(y) - mp.loggamma(a)


def grid(fam):
    return (
        np.array([0.03, 0.7, 1.9, 6.0])
        if fam.limited_range
        else np.array([-30, -9, -2.2, -0.3, 0.0, 0.4, 1.9, 6, 12.0])
    )


@pytest.mark.parametrize("name, link, dispersion, weights", PAIRS, ids=IDS)
def test_logpdf_and_derivatives_match_sixty_digits(name, link, dispersion, weights):
    fam = family(name, link)
    tau = None if dispersion is None else mp.log(mp.mpf(dispersion))
    for y in responses(name, weights):
        eta = grid(fam)
        terms = fam.derivatives(y, eta, weights, dispersion)
        logpdf = fam.logpdf(y, eta, weights, dispersion)
        scale = 1 / dispersion if name == "gamma" else 1.0  # the size of the terms that a sum is made of
        for i, e in enumerate(map(mp.mpf, eta)):
            exact = [
                float(mp.diff(lambda x, y=y: exact_logpdf(name, link, y, x, weights, tau), e, k))
                for k in range(4)
            ]
            assert logpdf[i] == pytest.approx(exact[0], rel=2e-13, abs=2e-13 * scale)
            assert terms.score[i] == pytest.approx(exact[1], rel=1e-12, abs=1e-13 * scale)
            assert terms.weight[i] == pytest.approx(-exact[2], rel=1e-10, abs=1e-40)
            assert terms.dweight[i] == pytest.approx(-exact[3], rel=1e-8, abs=1e-12 * abs(exact[2]) + 1e-40)


@pytest.mark.parametrize("name, link, dispersion, weights", PAIRS, ids=IDS)
def test_dispersion_derivatives_match_sixty_digits(name, link, dispersion, weights):
    fam = family(name, link)
    if not fam.has_dispersion:
        with pytest.raises(ModelError, match="no dispersion"):
            fam.dispersion_derivatives(1.0, 0.0)
        return
    tau = mp.log(mp.mpf(dispersion))
    scale = 1 / dispersion if name == "gamma" else 1.0
    for y in responses(name, weights):
        eta = grid(fam)
        terms = fam.dispersion_derivatives(y, eta, weights, dispersion)
        for i, e in enumerate(map(mp.mpf, eta)):
            exact = [
                float(mp.diff(lambda x, t, y=y: exact_logpdf(name, link, y, x, weights, t), (e, tau), (k, 1)))
                for k in range(3)
            ]
            assert terms.logpdf[i] == pytest.approx(exact[0], rel=1e-10, abs=1e-14 * scale)
            assert terms.score[i] == pytest.approx(exact[1], rel=1e-10, abs=1e-13 * scale)
            assert terms.weight[i] == pytest.approx(-exact[2], rel=1e-10, abs=1e-13 * scale)


@pytest.mark.parametrize("name, link, dispersion, weights", PAIRS, ids=IDS)
def test_lower_orders_return_the_same_numbers_and_none_beyond(name, link, dispersion, weights):
    fam = family(name, link)
    y = np.array(responses(name, weights))[:, None]
    full = fam.derivatives(y, grid(fam), weights, dispersion)
    for order in range(3):
        part = fam.derivatives(y, grid(fam), weights, dispersion, order=order)
        for k in range(4):
            if k <= order:
                np.testing.assert_array_equal(part[k], full[k])
                assert np.broadcast_shapes(part[k].shape, y.shape) == (y.size, grid(fam).size)
            else:
                assert part[k] is None


@pytest.mark.parametrize("name, link, dispersion, weights", PAIRS, ids=IDS)
def test_nothing_breaks_at_plus_minus_700(name, link, dispersion, weights):
    fam = family(name, link)
    eta = np.array([1e-3, 700.0]) if fam.limited_range else np.array([-700.0, -38.5, 38.5, 700.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in responses(name, weights):
            terms = fam.derivatives(y, eta, weights, dispersion)
            for values in (*terms, fam.fisher(eta, weights, dispersion)):
                assert not np.any(np.isnan(values))
            assert np.all(terms.weight >= 0)
            if fam.has_dispersion and dispersion > 1e-3:
                assert not any(
                    np.any(np.isnan(v)) for v in fam.dispersion_derivatives(y, eta, weights, dispersion)
                )


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_binomial_is_exact_at_plus_minus_700(link):
    fam = family("binomial", link)
    for y in (0.0, 1.0):
        for eta in (-700.0, 700.0):
            exact = exact_logpdf("binomial", link, y, mp.mpf(eta), None, None)
            assert float(fam.logpdf(y, np.array(eta))) == pytest.approx(float(exact), rel=1e-12, abs=1e-15)


def test_normal_tail_keeps_the_digits_of_its_third_derivative():
    x = np.array([-700.0, -50.0, -8.1, -7.9])
    for value, exact_at in zip(log_normal(x)[3], x, strict=True):
        exact = mp.diff(lambda t: mp.log(mp.erfc(-t / mp.sqrt(2)) / 2), mp.mpf(exact_at), 3)
        assert value == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("name, link, dispersion, weights", PAIRS, ids=IDS)
def test_fisher_is_the_expected_weight(name, link, dispersion, weights):
    fam = family(name, link)
    eta = np.array([0.6, 1.1])
    if name == "gamma":  # observed information is linear in y or free of it, so its mean sits at y = mu
        expected = fam.derivatives(fam.link.inverse(eta), eta, weights, dispersion).weight
    else:
        y = (
            np.arange(0.0, (1 if weights is None else weights) + 1)
            if name == "binomial"
            else np.arange(400.0)
        )
        y = y[:, None]
        plain = weights if name == "binomial" else None
        probability = np.exp(fam.logpdf(y, eta, plain, dispersion))
        expected = np.sum(probability * fam.derivatives(y, eta, weights, dispersion).weight, axis=0)
    np.testing.assert_allclose(fam.fisher(eta, weights, dispersion), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "name, link, dispersion", [(n, k, d) for n, k, d, w in PAIRS if n != "gamma" and w is None]
)
def test_probabilities_sum_to_one_with_the_stated_mean_and_variance(name, link, dispersion):
    fam = family(name, link)
    n = 5.0 if name == "binomial" else None
    y = np.arange(6.0) if name == "binomial" else np.arange(3000.0)
    eta = 0.9
    p = np.exp(fam.logpdf(y, eta, n, dispersion))
    mu = fam.link.inverse(eta)
    assert p.sum() == pytest.approx(1, rel=1e-10)
    response = fam.observed(y, n)
    assert p @ response == pytest.approx(float(mu), rel=1e-10)
    assert p @ (response - mu) ** 2 == pytest.approx(float(fam.variance(mu, n, dispersion)), rel=1e-9)


@pytest.mark.parametrize("link", ["log", "inverse"])
def test_gamma_density_integrates_to_one_with_the_stated_mean_and_variance(link):
    fam, eta, phi, w = family("gamma", link), 0.7, 0.4, 2.0

    def moment(m):
        return integrate.quad(lambda y: y**m * np.exp(fam.logpdf(y, eta, w, phi)), 0, np.inf, epsabs=1e-12)[0]

    moments = [moment(m) for m in range(3)]
    mu = float(fam.link.inverse(eta))
    assert moments[0] == pytest.approx(1, rel=1e-9)
    assert moments[1] == pytest.approx(mu, rel=1e-9)
    assert moments[2] - mu**2 == pytest.approx(float(fam.variance(mu, w, phi)), rel=1e-8)


def test_logpdf_agrees_with_scipy():
    eta, y = np.linspace(-1, 2, 7), np.array([0, 1, 2, 3, 5, 8, 13.0])
    mu = np.exp(eta)
    np.testing.assert_allclose(Poisson().logpdf(y, eta), stats.poisson.logpmf(y, mu), rtol=1e-12)
    np.testing.assert_allclose(
        NegativeBinomial().logpdf(y, eta, dispersion=2.3),
        stats.nbinom.logpmf(y, 2.3, 2.3 / (2.3 + mu)),
        rtol=1e-11,
    )
    np.testing.assert_allclose(
        Gamma().logpdf(y + 1, eta, dispersion=0.3),
        stats.gamma.logpdf(y + 1, 1 / 0.3, scale=0.3 * mu),
        rtol=1e-12,
    )
    n = np.full(7, 20.0)
    np.testing.assert_allclose(
        family("binomial", "probit").logpdf(y, eta, n),
        stats.binom.logpmf(y, 20, special.ndtr(eta)),
        rtol=1e-10,
    )


@pytest.mark.parametrize(
    "fam, theirs, dispersion",
    [
        (Binomial(), sm.families.Binomial(), None),
        (Poisson(), sm.families.Poisson(), None),
        (NegativeBinomial(), sm.families.NegativeBinomial(alpha=0.5), 2.0),
        (Gamma(), sm.families.Gamma(link=sm.families.links.Log()), 0.2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_deviance_and_variance_agree_with_statsmodels(fam, theirs, dispersion):
    y = np.array([0, 1, 1, 0.0]) if fam.name == "binomial" else np.array([1.0, 2, 5, 11])
    mu = np.array([0.2, 0.7, 0.4, 0.6]) if fam.name == "binomial" else np.array([1.4, 1.1, 6.0, 9.0])
    assert np.sum(fam.unit_deviance(y, mu, dispersion=dispersion)) == pytest.approx(
        theirs.deviance(y, mu), rel=1e-9
    )
    phi = dispersion if fam.name == "gamma" else 1
    np.testing.assert_allclose(fam.variance(mu, dispersion=dispersion), phi * theirs.variance(mu), rtol=1e-12)


@pytest.mark.parametrize("name, link, dispersion, weights", PAIRS, ids=IDS)
def test_unit_deviance_is_twice_the_log_density_lost(name, link, dispersion, weights):
    fam = family(name, link)
    eta = np.array([0.3, 0.8])
    mu = fam.link.inverse(eta)
    for y in responses(name, weights):
        if name == "binomial":
            exact = [
                2
                * (
                    exact_saturated_binomial(y, weights)
                    - exact_logpdf(name, link, y, mp.mpf(e), weights, None)
                )
                for e in eta
            ]
        else:
            tau = None if dispersion is None else mp.log(mp.mpf(dispersion))
            best = mp.mpf(y) if y > 0 else mp.mpf(10) ** -50
            to_eta = {"log": mp.log, "sqrt": mp.sqrt, "identity": lambda m: m, "inverse": lambda m: 1 / m}[
                link
            ]
            top = exact_logpdf(name, link, y, to_eta(best), weights, tau)
            scale = mp.mpf(dispersion) if name == "gamma" else 1
            exact = [2 * scale * (top - exact_logpdf(name, link, y, mp.mpf(e), weights, tau)) for e in eta]
        found = fam.unit_deviance(y, mu, weights, dispersion)
        np.testing.assert_allclose(found, [float(v) for v in exact], rtol=1e-9, atol=1e-13)


def exact_saturated_binomial(y, weights):
    n = mp.mpf(1 if weights is None else weights)
    y = mp.mpf(y)
    terms = [part * mp.log(part / n) for part in (y, n - y) if part > 0]
    return mp.log(mp.binomial(n, y)) + mp.fsum(terms)


def test_large_k_is_the_poisson_and_keeps_its_digits():
    y, eta = np.array([0.0, 3, 40]), np.log([0.5, 2.0, 55.0])
    near = NegativeBinomial().logpdf(y, eta, dispersion=1e15)
    np.testing.assert_allclose(near, Poisson().logpdf(y, eta), rtol=1e-13)
    # the slope in log k is (y - (y - mu)^2) / (2 k) up to O(k^-2): nothing of it is rounding error
    k = 1e8
    slope = NegativeBinomial().dispersion_derivatives(y, eta, dispersion=k).logpdf
    np.testing.assert_allclose(slope, (y - (y - np.exp(eta)) ** 2) / (2 * k), rtol=1e-5)


def test_out_of_range_is_minus_infinity_in_silence_and_a_sentence_on_request():
    for name, link in [("poisson", "sqrt"), ("poisson", "identity"), ("gamma", "inverse")]:
        fam = family(name, link)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            terms = fam.derivatives(
                np.array([0.0 if name == "poisson" else 1.0, 2.0, 2.0]),
                np.array([-1.0, 0.0, 1.0]),
                dispersion=1.0,
            )
        assert list(np.isneginf(terms.kernel)) == [True, True, False]
        assert np.isnan(terms.score[0]) and np.isfinite(terms.score[2])
        with pytest.raises(ModelError, match=rf"{link} link .* reached -1 \(2 of 3 values .*log link"):
            fam.check_range(np.array([-1.0, 0.0, 1.0]))
        fam.check_range(np.array([0.1, 2.0]))
    family("poisson").check_range(np.array([-5.0]))


@pytest.mark.parametrize("name, link, dispersion, weights", PAIRS, ids=IDS)
def test_draws_have_the_stated_mean_and_variance(name, link, dispersion, weights):
    fam = family(name, link)
    size, eta = 200_000, 0.7
    y = fam.draw(
        np.full(size, eta),
        None if weights is None else np.full(size, weights),
        dispersion,
        np.random.default_rng(3),
    )
    assert y.dtype == float and y.shape == (size,)
    mu = float(fam.link.inverse(eta))
    response = fam.observed(y, weights)
    drawn_weight = (
        weights if name in ("binomial", "gamma") else None
    )  # prior weights of counts change no draw
    variance = float(fam.variance(mu, drawn_weight, dispersion))
    assert abs(response.mean() - mu) < 5 * np.sqrt(variance / size)
    kurtosis = np.mean((response - mu) ** 4) / variance**2
    assert abs(response.var() / variance - 1) < 5 * np.sqrt((kurtosis - 1) / size)


def test_draws_follow_the_distribution():
    rng = np.random.default_rng(8)
    y = NegativeBinomial().draw(np.full(50_000, 0.5), dispersion=1.5, rng=rng)
    counts = np.bincount(np.minimum(y, 12).astype(int), minlength=13)
    p = np.exp(NegativeBinomial().logpdf(np.arange(12.0), 0.5, dispersion=1.5))
    assert stats.chisquare(counts, 50_000 * np.append(p, 1 - p.sum())).pvalue > 1e-3
    y = Gamma().draw(np.full(20_000, 0.5), dispersion=0.6, rng=rng)
    assert stats.kstest(y, stats.gamma(1 / 0.6, scale=0.6 * np.exp(0.5)).cdf).pvalue > 1e-3


def test_draws_refuse_an_absurd_mean():
    with pytest.raises(ModelError, match="too large to be drawn"):
        Poisson().draw(np.array([700.0]), rng=np.random.default_rng(0))


def test_residual_variance_is_nakagawas():
    poisson, nb, gamma = family("poisson"), family("negbinomial"), family("gamma")
    mu, k, phi = 2.5, 1.7, 0.3
    assert poisson.residual_variance(mu) == pytest.approx(np.log(1 + 1 / mu))
    assert poisson.residual_variance(mu, method="delta") == pytest.approx(1 / mu)
    assert poisson.residual_variance(mu, method="trigamma") == pytest.approx(special.polygamma(1, mu))
    assert nb.residual_variance(mu, k) == pytest.approx(np.log(1 + 1 / mu + 1 / k))
    assert nb.residual_variance(mu, k, "trigamma") == pytest.approx(
        special.polygamma(1, 1 / (1 / mu + 1 / k))
    )
    assert gamma.residual_variance(mu, phi) == pytest.approx(np.log(1 + phi))
    assert family("gamma", "inverse").residual_variance(mu, phi) == pytest.approx(phi / mu**2)
    assert family("poisson", "sqrt").residual_variance(mu) == pytest.approx(0.25)
    assert family("poisson", "identity").residual_variance(mu) == pytest.approx(mu)
    assert family("binomial").residual_variance(0.2) == pytest.approx(np.pi**2 / 3)
    assert family("binomial", "probit").residual_variance(0.2) == 1
    assert family("binomial").residual_variance(0.2, method="delta") == pytest.approx(1 / (0.2 * 0.8))
    with pytest.raises(
        ModelError,
        match="No residual variance 'trigamma' for the logit link; it has 'theoretical' and 'delta'",
    ):
        family("binomial").residual_variance(0.2, method="trigamma")


def test_trigamma_is_the_variance_of_a_log_gamma_variable():
    log_y = np.log(Gamma().draw(np.zeros(200_000), dispersion=0.8, rng=np.random.default_rng(5)))
    assert log_y.var() == pytest.approx(Gamma().residual_variance(1.0, 0.8, "trigamma"), rel=0.02)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("binomal",), "There is no family 'binomal'; .* \\(did you mean 'binomial'\\?\\)"),
        (("nbinom2",), "did you mean 'negbinomial'"),
        (("Gamma",), "did you mean 'gamma'"),
        (("gaussian",), "fit it with lmer"),
        (
            ("poisson", "logit"),
            "The poisson family has no link 'logit'; it has 'log', 'sqrt' and 'identity'\\.$",
        ),
        (("binomial", "probti"), "did you mean 'probit'"),
        (("negbinomial", "sqrt"), "it has 'log'\\.$"),
    ],
)
def test_lookup_messages(arguments, sentence):
    with pytest.raises(ModelError, match=sentence):
        family(*arguments)


def test_lookup():
    assert family("binomial") == Binomial() and family("gamma", "inverse").link.name == "inverse"
    assert family(Poisson()) == Poisson() and family(Poisson(), "sqrt").link.name == "sqrt"
    for cls in FAMILIES.values():
        for link in cls.links:
            fam = family(cls.name, link.name)
            assert isinstance(fam, Family) and pickle.loads(pickle.dumps(fam)) == fam
    with pytest.raises(ModelError, match="has no link 'sqrt'"):
        Gamma(Poisson.links[1])


@pytest.mark.parametrize(
    "name, data, sentence",
    [
        (
            "binomial",
            {"y": [0, 1, 2, 0.5, 2]},
            "is 0 or 1, but 'y' holds 2, 0.5 in 3 rows \\(the first is row 2\\)",
        ),
        ("binomial", {"y": ["no", "yes"]}, "'y' holds 'no', which is not a number"),
        (
            "binomial",
            {"y": [3, 5], "trials": [4, 4]},
            "more successes than trials: 5 in 1 row .*counts the failures",
        ),
        ("binomial", {"y": [-1, 2], "trials": [4, 4]}, "successes 'y' are counts.* hold -1"),
        ("binomial", {"y": [1, 2], "trials": [4, 4.5]}, "trials must be whole numbers .* hold 4.5"),
        (
            "binomial",
            {"y": [0.5, 0.3], "weights": [4, 4]},
            "whole numbers of successes, but gives 1.2 in 1 row",
        ),
        (
            "binomial",
            {"y": [0.5, 0.3], "weights": [4, 2.5]},
            "weights are the numbers of trials; .* hold 2.5",
        ),
        ("binomial", {"y": [2, 3], "weights": [4, 4]}, "a proportion between 0 and 1, but 'y' holds 2, 3"),
        ("binomial", {"y": [2, 3], "trials": [4, 4], "weights": [1, 1]}, "not from both"),
        ("poisson", {"y": [0, -2, 3]}, "never negative, but 'y' holds -2 in 1 row \\(the first is row 1\\)"),
        ("negbinomial", {"y": [0, 1.5]}, "whole numbers, but 'y' holds 1.5"),
        ("poisson", {"y": [0, 1], "trials": [1, 1]}, "needs family='binomial', not 'poisson'"),
        ("poisson", {"y": [0, 1], "weights": [1, 0]}, "Prior weights are above 0, but 'weights' holds 0"),
        ("poisson", {"y": [0, 1], "weights": [1, 2, 3]}, "There are 3 weights for 2 rows"),
        ("gamma", {"y": [1, 0, -3]}, "above 0, but 'y' holds 0, -3 in 2 rows"),
        ("gamma", {"y": [1, np.inf]}, "'y' holds inf"),
    ],
)
def test_bad_responses_are_named(name, data, sentence):
    with pytest.raises(DataError, match=sentence) as error:
        family(name).check_response(**data, name="y")
    assert "\n" not in str(error.value)


def test_row_labels_appear_in_messages():
    with pytest.raises(DataError, match="row frog 7"):
        family("poisson").check_response([1, -1], labels=["frog 6", "frog 7"])


def test_good_responses_come_back_as_floats():
    y, n = family("binomial").check_response(np.array([True, False]))
    assert y.tolist() == [1, 0] and y.dtype == float and n is None
    y, n = family("binomial").check_response([1 / 3, 0.5], weights=[3, 12])
    assert y.tolist() == [1, 6] and n.tolist() == [3, 12]
    y, n = family("binomial").check_response([1, 0], trials=[1, 1])
    assert n is None
    y, w = family("gamma").check_response([1.5, 2], weights=[1, 2])
    assert w.tolist() == [1, 2]


def test_special_functions_match_sixty_digits():
    for x in (1e-3, 0.5, 3.0, 9.99, 10.0, 47.0, 1e8):
        z = mp.mpf(x)
        stirling = mp.loggamma(z) - ((z - 0.5) * mp.log(z) - z + mp.log(2 * mp.pi) / 2)
        assert float(stirling_remainder(x)) == pytest.approx(float(stirling), rel=1e-12, abs=5e-15)
        digamma = mp.log(z) - 1 / (2 * z) - mp.digamma(z)
        assert float(digamma_remainder(x)) == pytest.approx(float(digamma), rel=1e-12, abs=1e-15)
    for x in (-0.999, -0.3, -0.1001, -0.0999, -1e-9, 1e-9, 0.05, 0.1, 0.3, 50.0):
        assert float(log1pmx(x)) == pytest.approx(float(mp.log1p(mp.mpf(x)) - mp.mpf(x)), rel=1e-13)
    y = np.array([0.0, 2, 2, 1, 0, 5, 2, 2, 1, 0, 3, 3])
    np.testing.assert_array_equal(per_count(np.sqrt, y), np.sqrt(y))
    np.testing.assert_array_equal(per_count(np.sqrt, y + 0.5), np.sqrt(y + 0.5))
