"""The contract of a family, for every one that is registered with each of its links: the family by itself."""

import numpy as np
import pytest
from scipy import stats

from glmmlib.errors import DataError, GlmmlibError
from glmmlib.families.base import Family
from support.family_cases import CASES, case

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # a number that is none is nobody's message
every_family = pytest.mark.parametrize("name, link", CASES)
with_auxiliary = pytest.mark.parametrize("name, link", [c for c in CASES if case(*c).family.auxiliary])
without_auxiliary = pytest.mark.parametrize("name, link", [c for c in CASES if not case(*c).family.auxiliary])
continuous = pytest.mark.parametrize(
    "name, link", [c for c in CASES if not case(*c).family.support.is_discrete]
)
N = 20_000


def rows(of, weighted, n=60, seed=1):
    """Responses at linear predictors all over the range, and their weights."""
    rng = np.random.default_rng(seed)
    eta = np.resize(of.grid, n)
    weights = of.weights(n) if weighted else None
    return of.draw(eta, weights, rng), eta, weights


def slope(function, at, step=1e-5):
    return (function(at + step) - function(at - step)) / (2 * step)


@every_family
@pytest.mark.parametrize("weighted", [False, True])
def test_derivatives_in_eta_are_those_of_the_log_density(name, link, weighted):
    of = case(name, link)
    y, eta, w = rows(of, weighted)
    d = of.family.derivatives(y, eta, w, of.auxiliary)
    size = 1 + np.abs(d.weight)
    for exact, lower in (
        (d.score, lambda e: of.family.logpdf(y, e, w, of.auxiliary)),
        (-d.weight, lambda e: of.family.derivatives(y, e, w, of.auxiliary).score),
        (-d.dweight, lambda e: -of.family.derivatives(y, e, w, of.auxiliary).weight),
    ):
        np.testing.assert_allclose((slope(lower, eta) - exact) / size, 0, atol=1e-6)
    if of.family.is_log_concave:
        assert (d.weight >= 0).all()


@without_auxiliary
def test_no_derivatives_in_an_auxiliary_parameter_that_is_not_there(name, link):
    of = case(name, link)
    with pytest.raises(GlmmlibError, match="no dispersion"):
        of.family.dispersion_derivatives(*rows(of, False))


@with_auxiliary
@pytest.mark.parametrize("weighted", [False, True])
def test_derivatives_in_the_auxiliary_parameter(name, link, weighted):
    of = case(name, link)
    own = type(of.family).dispersion_derivatives
    assert own is not Family.dispersion_derivatives, f"{name}: dispersion_derivatives goes with auxiliary"
    y, eta, w = rows(of, weighted)
    d = of.family.dispersion_derivatives(y, eta, w, of.auxiliary)
    for k, auxiliary in enumerate(of.family.auxiliary):
        tau = auxiliary.link.link(np.atleast_1d(of.auxiliary)[k])
        up, down = (of.with_auxiliary(k, tau + step) for step in (1e-5, -1e-5))
        logpdf = [of.family.logpdf(y, eta, w, own) for own in (up, down)]
        ends = [of.family.derivatives(y, eta, w, own, order=2) for own in (up, down)]
        pairs = (logpdf, [end.score for end in ends], [end.weight for end in ends])
        for exact, (above, below) in zip(d, pairs, strict=True):
            exact = exact if len(of.family.auxiliary) == 1 else exact[..., k]
            close = {"rtol": 1e-5, "atol": 1e-6 * (1 + np.abs(exact).max())}
            np.testing.assert_allclose((above - below) / 2e-5, exact, **close)


@with_auxiliary
def test_an_auxiliary_parameter_may_differ_from_row_to_row(name, link):
    of = case(name, link)
    y, eta, w = rows(of, False)
    values = np.multiply.outer(np.linspace(0.5, 2, y.size), of.auxiliary)
    together = of.family.logpdf(y, eta, w, values)
    alone = [of.family.logpdf(*row[:2], None, row[2]) for row in zip(y, eta, values, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    bent = of.family.dispersion_derivatives(y, eta, w, values).logpdf
    alone = [
        of.family.dispersion_derivatives(*row[:2], None, row[2]).logpdf
        for row in zip(y, eta, values, strict=True)
    ]
    np.testing.assert_allclose(bent, alone, rtol=1e-9, atol=1e-9)


@every_family
@pytest.mark.parametrize("weighted", [False, True])
def test_expected_information_is_the_mean_weight(name, link, weighted):
    of = case(name, link)
    for eta in of.grid:
        w = np.full(N, 5.0) if weighted else None
        y = of.draw(np.full(N, eta), w if of.family.weights_scatter else None, np.random.default_rng(2))
        weight = np.broadcast_to(of.family.derivatives(y, np.full(N, eta), w, of.auxiliary).weight, N)
        expected = np.unique(of.family.fisher(np.full(N, eta), w, of.auxiliary))
        assert expected.size == 1 and expected[0] > 0
        assert abs(weight.mean() - expected[0]) <= 5 * weight.std() / np.sqrt(N) + 1e-9 * expected[0]


@every_family
@pytest.mark.parametrize("weighted", [False, True])
def test_draws_have_the_distribution_mean_and_variance_that_are_stated(name, link, weighted):
    of = case(name, link)
    w = np.full(N, 5.0) if weighted and of.family.weights_scatter else None
    for eta in of.grid[1:4]:
        mu, mean = float(of.family.link.inverse(eta)), float(of.family.mean(eta, of.auxiliary))
        y = of.draw(np.full(N, eta), w, np.random.default_rng(3))
        assert y.dtype == float
        share = of.family.observed(y, w)
        assert (of.family.support.lower <= share).all() and (share <= of.family.support.upper).all()
        own = None if w is None else w[0]
        variance = float(of.family.variance(mu, own, of.auxiliary))
        kurtosis = np.mean((share - mean) ** 4) / variance**2
        assert abs(share.mean() - mean) < 5 * np.sqrt(variance / N)
        assert abs(share.var() / variance - 1) < 5 * np.sqrt(max(kurtosis - 1, 0.1) / N)
        for at in np.unique(np.quantile(y, [0.01, 0.2, 0.5, 0.9, 0.999])):
            below, above = (f(at, mu, own, of.auxiliary) for f in (of.family.cdf, of.family.sf))
            assert below + above == pytest.approx(1, abs=1e-9)
            assert abs((y <= at).mean() - below) < 5 * np.sqrt(below * above / N) + 1e-9


@every_family
@pytest.mark.parametrize("weighted", [False, True])
def test_the_distribution_function_adds_up_the_log_density(name, link, weighted):
    of = case(name, link)
    y, eta, w = rows(of, weighted and of.family.weights_scatter)
    mu = of.family.link.inverse(eta)
    density = np.exp(of.family.logpdf(y, eta, w, of.auxiliary))
    if of.family.support.is_discrete:
        found = of.family.cdf(y, mu, w, of.auxiliary) - of.family.cdf(y - 1, mu, w, of.auxiliary)
    else:
        step = 1e-5 * np.minimum(1.0, np.abs(y))
        up, down = (of.family.cdf(y + s * step, mu, w, of.auxiliary) for s in (1, -1))
        found = (up - down) / (2 * step)
    np.testing.assert_allclose(found, density, rtol=2e-4, atol=1e-8)


@every_family
def test_beyond_the_support_nothing_is_left(name, link):
    of = case(name, link)
    mu = np.array([of.mean])
    for end, below in ((of.family.support.lower, 0.0), (of.family.support.upper, 1.0)):
        if np.isfinite(end):
            y = end - 1.0 if below == 0.0 else end
            assert of.family.cdf(y, mu, None, of.auxiliary) == below
            assert of.family.sf(y, mu, None, of.auxiliary) == 1.0 - below


@every_family
@pytest.mark.parametrize("weighted", [False, True])
def test_quantiles_are_the_smallest_responses_that_reach_a_probability(name, link, weighted):
    of = case(name, link)
    mu = of.family.link.inverse(of.grid)
    w = np.full(mu.size, 7.0) if weighted and of.family.weights_scatter else None
    for p in (0.025, 0.5, 0.975):
        q = of.family.quantile(p, mu, w, of.auxiliary)
        just_below = q - 1 if of.family.support.is_discrete else q - 1e-6 * np.abs(q)
        assert (of.family.cdf(q, mu, w, of.auxiliary) >= p - 1e-9).all()
        assert (of.family.cdf(just_below, mu, w, of.auxiliary) < p).all()


@every_family
def test_quantiles_of_new_observations_by_simulation(name, link):
    of, rng, n = case(name, link), np.random.default_rng(4), 100_000
    eta, sd = of.grid[1:4], np.full(3, of.spread)
    y = of.family.observed(of.draw(eta + sd * rng.standard_normal((n, 3)), None, rng))
    for p in (0.025, 0.5, 0.975):
        q = of.family.predictive_quantile(eta, sd, p, None, of.by_row(3))
        slack = 5 * np.sqrt(p * (1 - p) / n)
        assert ((y <= q + 1e-12).mean(axis=0) > p - slack).all()
        assert ((y < q - 1e-12).mean(axis=0) < p + slack).all()


@every_family
def test_quantiles_of_new_observations_at_the_edges(name, link):
    """Out of the link's range, where the mean overflows, with any scatter: in the support, and at once."""
    of = case(name, link)
    far = np.array([-1e4, -700.0, -30.0, 0.0, 1e-9, 30.0, 700.0, 1e4])
    eta, sd = (part.ravel() for part in np.meshgrid(far, [0.0, 0.1, 3.0, 50.0, np.inf]))
    low, middle, high = (
        of.family.predictive_quantile(eta, sd, p, None, of.by_row(eta.size)) for p in (0.025, 0.5, 0.975)
    )
    for ends in (low, middle, high):
        assert not np.isnan(ends).any()
        assert ((ends >= of.family.support.lower) & (ends <= of.family.support.upper)).all()
    assert (low <= middle).all() and (middle <= high).all()
    assert (low[np.isinf(sd)] == of.family.support.lower).all()
    assert (high[np.isinf(sd)] == of.family.support.upper).all()


@every_family
def test_first_values_are_inside_their_range(name, link):
    of = case(name, link)
    w = of.trials_of(N)
    y = of.draw(np.full(N, of.eta), w, np.random.default_rng(5))
    mean = of.family.start_mean(y, w)
    assert np.isfinite(of.family.link.link(mean)).all()
    value = of.family.start_auxiliary(y, np.full(N, of.mean), w)
    assert (value is None) == (of.auxiliary is None), f"{name}: start_auxiliary goes with auxiliary"
    if value is not None:
        assert (of.auxiliary / 4 < value).all() and (value < 4 * np.asarray(of.auxiliary)).all()
        several = of.family.start_auxiliary(np.stack([y, y]), np.full((2, N), of.mean), w)
        np.testing.assert_array_equal(several, [value, value])


@every_family
def test_what_a_response_may_be(name, link):
    of = case(name, link)
    trials = of.trials_of(30)
    y = of.draw(np.full(30, of.eta), trials, np.random.default_rng(6))
    checked, weights = of.family.check_response(y, trials)
    np.testing.assert_array_equal(weights, trials)
    np.testing.assert_array_equal(checked, y)
    bad = [np.nan, np.inf]
    if np.isfinite(of.family.support.lower):
        bad.append(of.family.support.lower - 1)
    if np.isfinite(of.family.support.upper):
        bad.append(of.family.support.upper * (of.trials or 1) + 1)
    if of.family.support.is_discrete:
        bad.append(0.5)
    for value in bad:
        with pytest.raises(DataError, match=r"(?s)^[^\n]*\.$"):
            of.family.check_response(np.append(y, value), of.trials_of(31))
    if not of.family.support.in_trials:
        with pytest.raises(DataError, match="cbind"):
            of.family.check_response(y, trials=np.full(30, 2.0))


@every_family
@pytest.mark.parametrize("weighted", [False, True])
def test_unit_deviances_and_their_sign(name, link, weighted):
    of = case(name, link)
    y, eta, w = rows(of, weighted)
    mu = of.family.link.inverse(eta)
    lost = of.family.unit_deviance(y, mu, w, of.auxiliary)
    assert np.isfinite(lost).all() and (lost >= 0).all()
    own = of.family.observed(y, w) if of.family.is_mean_of_link else of.family.start_mean(y, w)
    nearer = 0.5 * (mu + np.clip(own, *_inside(of)))
    assert (of.family.unit_deviance(y, nearer, w, of.auxiliary) <= lost + 1e-9).mean() > 0.9


def _inside(of):
    low, high = of.family.location_range
    return low + 1e-6, high - 1e-6


@every_family
def test_residual_variances_are_positive_and_the_delta_method_is_what_it_says(name, link):
    of = case(name, link)
    mu = of.family.link.inverse(of.grid)
    if of.family.no_shares:
        with pytest.raises(GlmmlibError, match="residual variance"):
            of.family.residual_variance(mu, of.auxiliary)
        return
    for method in of.family.residual_methods:
        assert (of.family.residual_variance(mu, of.auxiliary, method) > 0).all()
    slopes = of.family.mean_slope(of.grid, of.auxiliary)
    delta = of.family.variance(mu, dispersion=of.auxiliary) / slopes**2
    np.testing.assert_allclose(of.family.residual_variance(mu, of.auxiliary, "delta"), delta, rtol=1e-9)
    default = of.family.residual_variance(mu, of.auxiliary)
    if not of.family.residual_needs_mean:
        np.testing.assert_allclose(default, default[0], rtol=1e-12)


@every_family
def test_the_average_of_a_link_is_an_average(name, link):
    of = case(name, link)
    z, w = np.polynomial.hermite_e.hermegauss(80)
    variance = np.full(of.grid.size, of.spread**2)
    if np.isinf(of.family.link.inverse(0.0)):  # a pole inside the reach of a normal distribution
        with pytest.raises(GlmmlibError, match="does not exist"):
            of.family.link.average(of.grid, variance)
        return
    found = of.family.link.average(of.grid, variance)
    exact = of.family.link.inverse(of.grid + of.spread * z[:, None]).T @ w / w.sum()
    np.testing.assert_allclose(found, exact, rtol=1e-7)
    found = of.family.average(of.grid, variance, of.auxiliary)
    exact = of.family.mean(of.grid + of.spread * z[:, None], of.auxiliary).T @ w / w.sum()
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    change = slope(lambda eta: of.family.mean(eta, of.auxiliary), of.grid)
    np.testing.assert_allclose(of.family.mean_slope(of.grid, of.auxiliary), change, rtol=1e-6)


@every_family
def test_the_range_of_the_linear_predictor_is_that_of_the_mean(name, link):
    of = case(name, link)
    low, high = of.family.eta_range
    assert low < of.eta < high
    assert of.family.limited_range == bool(np.isfinite([low, high]).any())
    of.family.check_range(of.grid)
    if of.family.limited_range:
        with pytest.raises(GlmmlibError, match="needs a linear predictor above"):
            of.family.check_range(np.append(of.grid, low - 1))
    if of.family.separable:
        ends = of.family.extreme(np.array([of.family.counted.support.lower, of.family.support.upper]))
        assert ends[0] == -1 and of.family.all_alike(ends[0])


@every_family
def test_words_for_reports(name, link):
    family = case(name, link).family
    for word in ("title", "law", "noise", "remedy_for_spread"):
        assert getattr(family, word), f"{name}: a report needs the family's {word!r}"
    for auxiliary in family.auxiliary:
        assert auxiliary.sentence.format("1.2").endswith(".")
        assert auxiliary.boundary and auxiliary.term and not auxiliary.is_exact(1.0)
    again = type(family)(family.link).with_levels(family.levels)
    assert family == again and hash(family) == hash(again)


@continuous
def test_uniform_residuals(name, link):
    """F(y) of a right model is uniform."""
    of = case(name, link)
    y, eta, w = rows(of, of.family.weights_scatter, n=3000)
    u = of.family.cdf(y, of.family.link.inverse(eta), w, of.auxiliary)
    assert stats.kstest(u, "uniform").pvalue > 1e-4
