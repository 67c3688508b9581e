"""Posterior draws: against rstanarm, by simulation, and what can be asked of them."""

import json
import pickle
import sys
import warnings
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

import glmmlib as gl
from glmmlib.bayes.engine import named
from glmmlib.bayes.generalised import GeneralisedMarginal
from glmmlib.bayes.importance import pareto_fit, sample, smoothed
from glmmlib.bayes.linear import LinearMarginal
from glmmlib.bayes.priors import Exponential, Lkj
from glmmlib.bayes.scores import NormalScores, Parameters
from glmmlib.bayes.specification import priors_of
from glmmlib.errors import GlmmlibWarning, ModelError
from support.reference_values import HERE

STAN = json.loads((HERE / "posterior" / "rstanarm.json").read_text())
ONE, GROUP = "y ~ x + (1 | g)", "g"
CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def table(name):
    if name in ("sleepstudy", "cbpp"):
        return gl.load(name)
    return pd.read_csv(HERE / "posterior" / f"{name.removesuffix('_t7').removesuffix('_slope')}.csv")


@cache
def fitted(formula, name, family=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        if family is None:
            return gl.lmer(formula, table(name))
        return gl.glmer(formula, table(name), family=family)


def gaps(frame, random, stan):
    """By how many posterior SDs each mean is off: coefficients, SDs, the effects of each group."""
    ours = {"(Intercept)": frame["Intercept"]}
    for name in frame:
        base = name.replace("[T.", "").replace("]", "")
        ours |= {
            base: frame[name],
            name.replace("sd ", "sd.").replace(".Intercept", ".(Intercept)"): frame[name],
        }
        group, _, effect = name.removeprefix("sd ").partition(".")
        effect = effect.replace("Intercept", "(Intercept)")
        ours |= {f"sd.{effect}": frame[name], f"Sigma[{group}:{effect},{effect}]": frame[name] ** 2}
    ours["corr"] = next((frame[name] for name in frame if name.startswith("corr ")), None)
    for (group, levels, columns), b in random:
        for a, column in enumerate(columns):
            for j, level in enumerate(levels):
                ours[f"b[{column.replace('Intercept', '(Intercept)')} {group}:{level}]"] = b[:, a, j]
    found = {k: (np.mean(ours[k]) - t["mean"]) / t["sd"] for k, t in stan.items() if ours.get(k) is not None}
    assert len(found) >= len(stan) - 1
    return np.array(list(found.values()))


def effects_of(fit, arrays):
    return [((g.name, g.levels, g.columns), b) for g, b in zip(fit.groups, arrays, strict=True)]


class Decov(NormalScores):
    """rstanarm's prior of a covariance: by the columns as they are, and in a linear model times sigma."""

    def start(self, fit):
        return np.append(super().start(fit)[: self.n_beta], np.zeros(self.size - self.n_beta))

    def at(self, Z):
        par = super().at(Z)
        unit, Z = par.auxiliary if self.is_linear else 1.0, Z[:, self.n_beta :]
        tau = unit * Exponential(1.0).from_normal(Z[:, 0])
        if self.groups[0].q == 1:
            return Parameters(par.beta, [tau[:, None, None]], par.auxiliary, par.spread)
        sds = tau[:, None] * np.sqrt(2.0 * np.stack([ndtr(Z[:, 1]), ndtr(-Z[:, 1])], axis=1))
        root = sds[:, :, None] * Lkj(1.0).root(Z[:, 2:3], 2)
        return Parameters(par.beta, [root], par.auxiliary, par.spread)


@pytest.mark.parametrize("name", ["lmm5", "sleepstudy"])
def test_linear_models_as_rstanarm(name):
    formula = ONE if name == "lmm5" else "Reaction ~ Days + (Days | Subject)"
    fit, y, s = fitted(formula, name), None, table("sleepstudy")
    y = fit.design.y
    fixef = {"Intercept": "normal(0, 2.5)", "x": "normal(0, 2.5)"}
    if name == "sleepstudy":
        wide = 2.5 * np.std(y, ddof=1)
        fixef = {"Intercept": f"normal({y.mean()}, {wide})", "Days": f"normal(0, {wide / s['Days'].std()})"}
    priors = priors_of(fit, fixef, None, None, sigma=f"exponential({1 / np.std(y, ddof=1)})")
    assert np.abs(decov_gaps(fit, LinearMarginal, priors, 4000, name)).max() < 0.06


def decov_gaps(fit, make, priors, n, name):
    scores, rng = Decov(fit, priors), np.random.default_rng(1)
    marginal = make(fit, scores)
    found = sample(marginal, scores.start(fit), n, rng)
    effects, par = marginal.effects(found.Z, None, found.which, rng), scores.at(found.Z)
    frame = named(fit, effects.beta, par.roots, par.auxiliary)
    return gaps(frame, effects_of(fit, effects.random), STAN[name]["table"])


def test_a_random_slope_of_a_generalised_model_as_rstanarm():
    fit = fitted("y ~ x + (x | g)", "bern40", "binomial")
    priors = priors_of(fit, dict.fromkeys(fit.params.index, "normal(0, 2.5)"), None, None)
    gap = decov_gaps(fit, GeneralisedMarginal, priors, 150, "bern40_slope")
    assert np.abs(gap).max() < 4.5 / np.sqrt(150)


FEW = {"bern40": 1000, "bern8": 2000, "cbpp": 2000, "crossed": 100}  # draws, where they take longer


@pytest.mark.parametrize("name", ["cbpp", "bern5", "bern8", "bern40", "pois6", "sep", "sep_t7", "crossed"])
def test_generalised_models_as_rstanarm(name):
    formula = {"cbpp": CBPP, "crossed": "y ~ x + (1 | a) + (1 | b)"}
    fit = fitted(formula.get(name, ONE), name, "poisson" if name == "pois6" else "binomial")
    prior = "t(7, 0, 2.5)" if name == "sep_t7" else "normal(0, 2.5)"
    n = FEW.get(name, 4000)
    post = gl.posterior(
        fit, fixef=dict.fromkeys(fit.params.index, prior), sd="exponential(1)", draws=n, rng=1
    )
    gap = gaps(post.draws, effects_of(fit, post.random_effects.values()), STAN[name]["table"])
    assert np.abs(gap).max() < 4.0 / np.sqrt(n)
    assert post.khat < 0.7


def test_simulation_based_calibration():
    """Where the truth is drawn from the priors, its rank among the draws is uniform."""
    rng, J, n, R = np.random.default_rng(2026), 5, 4, 80
    d = pd.DataFrame({"g": np.repeat(np.arange(J), n), "x": np.tile([-1.5, -0.5, 0.5, 1.5], J), "y": 0.0})
    d["y"] = rng.normal(size=J * n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = gl.lmer(ONE, d)
    priors = {"fixef": {"Intercept": "normal(0, 2)", "x": "normal(0, 1)"}, "sd": "half_t(3, 1)"}
    made = priors_of(fit, priors["fixef"], priors["sd"], None, sigma="exponential(1)")
    scores = NormalScores(fit, made)
    ranks = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        for z in rng.standard_normal((R, scores.size)):
            par = scores.at(z[None])
            beta, b = rng.normal(size=2) * [2.0, 1.0], par.roots[0][0, 0, 0] * rng.normal(size=J)
            sigma = par.auxiliary[0]
            y = beta[0] + beta[1] * d["x"] + b[d["g"]] + sigma * rng.normal(size=J * n)
            problem = fit.solution.problem.with_response(y.to_numpy())
            other = SimpleNamespace(solution=SimpleNamespace(problem=problem), groups=fit.groups)
            marginal = LinearMarginal(other, scores)
            found = sample(marginal, np.zeros(scores.size), 100, rng)
            drawn = marginal.effects(found.Z, None, found.which, rng)
            at = scores.at(found.Z)
            truths = [(drawn.beta[:, 0], beta[0]), (drawn.beta[:, 1], beta[1]), (at.auxiliary, sigma)]
            truths += [(at.roots[0][:, 0, 0], par.roots[0][0, 0, 0]), (drawn.random[0][:, 0, 2], b[2])]
            ranks.append([(values < truth).mean() for values, truth in truths])
    ranks = np.array(ranks)
    np.testing.assert_allclose(ranks.mean(axis=0), 0.5, atol=4.0 * np.sqrt(1 / 12 / R))
    assert (np.abs((np.abs(ranks - 0.5) < 0.475).mean(axis=0) - 0.95) < 0.09).all()


def test_a_family_whose_log_density_is_not_concave_goes_point_by_point():
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"g": np.repeat(np.arange(5), 6), "x": rng.normal(size=30)})
    mean = 1 / (1 + np.exp(-0.8 * d["x"]))
    d["y"] = rng.beta(10 * mean, 10 * (1 - mean))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = gl.glmer(ONE, d, family="beta")
    post = gl.posterior(fit, draws=100, rng=1)
    assert dict(post.priors.described())["dispersion"] == "gamma(2, 0.1)"  # a precision, of any size
    t = post.summary()
    assert abs(t.loc["x", "mean"] - fit.params["x"]) < 1.5 * t.loc["x", "sd"]
    assert t.loc["dispersion", "lower"] < fit.dispersion < t.loc["dispersion", "upper"]
    assert "4 draws" in post.method


# --- invariances -----------------------------------------------------------------------------------------


@cache
def sleep_posterior(origin=0.0, unit=1.0):
    s = gl.load("sleepstudy")
    s["Days"] = unit * (s["Days"] + origin)
    return gl.posterior(gl.lmer("Reaction ~ Days + (Days | Subject)", s), rng=1), s


def test_the_origin_of_a_predictor_moves_no_draw():
    """SDs and correlations have their priors at the mean of x, wherever its zero is."""
    (here, s), (far, moved) = sleep_posterior(), sleep_posterior(1000.0)
    same = ["Days", "sd Subject.Days", "sigma"]
    np.testing.assert_allclose(here.draws[same], far.draws[same], rtol=1e-5)
    here_rows, far_rows = here.predict(s.iloc[:12]), far.predict(moved.iloc[:12])
    np.testing.assert_allclose(here_rows, far_rows, rtol=1e-6)
    assert far.draws["sd Subject.Days"].mean() > 4


def test_its_unit_moves_none_either():
    (days, _), (hours, _) = sleep_posterior(), sleep_posterior(0.0, 24.0)
    np.testing.assert_allclose(days.draws["Days"], 24.0 * hours.draws["Days"], rtol=1e-5)
    np.testing.assert_allclose(
        days.draws["sd Subject.Days"], 24.0 * hours.draws["sd Subject.Days"], rtol=1e-5
    )


def test_the_same_seed_gives_the_same_draws_and_another_others():
    fit = fitted(ONE, "lmm5")
    first, second = (gl.posterior(fit, draws=200, rng=np.random.default_rng(3)) for _ in range(2))
    assert first.draws.equals(second.draws)
    assert first.prior_predictive(5).tolist() == second.prior_predictive(5).tolist()
    assert not first.draws.equals(gl.posterior(fit, draws=200, rng=4).draws)
    again = pickle.loads(pickle.dumps(first))
    assert again.draws.equals(first.draws)
    assert str(again) == str(first)


# --- what can be asked ---------------------------------------------------------------------------------


def test_a_summary_is_that_of_the_draws():
    post, _ = sleep_posterior()
    t, d = post.summary(level=0.8), post.draws
    np.testing.assert_allclose(t["mean"], d.mean())
    np.testing.assert_allclose(t["lower"], d.quantile(0.1))
    np.testing.assert_allclose(t["upper"], d.quantile(0.9))
    assert t.loc["Days", "above 0"] == (d["Days"] > 0).mean()
    assert list(t.index) == [*post.fit.params.index, *d.columns[2:]]
    text = " ".join(str(post).split())
    for part in ("Priors: ", "half_t(3, 140.8)", "lkj(1)", "khat", "effective sample size", "integrated out"):
        assert part in text
    assert "<table" in post._repr_html_()


def test_claims_are_shares_of_draws():
    post, _ = sleep_posterior()
    d = post.draws
    for claim, truth in {
        "Days > 10": d["Days"] > 10,
        "sd Subject.Intercept > sigma": d["sd Subject.Intercept"] > d["sigma"],
        "abs(corr Subject.Days.Intercept) <= .5": d["corr Subject.Days.Intercept"].abs() <= 0.5,
        "8 < Days < 12": d["Days"].between(8, 12),
        "Intercept + 2 * Days >= 270": d["Intercept"] + 2 * d["Days"] >= 270,
        "sd Subject.Days ** 2 / sigma ** 2 > exp(-3)": (d["sd Subject.Days"] / d["sigma"]) ** 2 > np.exp(-3),
    }.items():
        assert post.probability(claim) == truth.mean()
    for claim, said in {
        "Dais > 0": "names no parameter",
        "Days": "compares nothing",
        "Days >": "cannot be read",
        "__import__('os') > 0": "more than a comparison",
        "Days.mean() > 0": "more than a comparison|names no parameter",
        "Days != 0": "more than a comparison",
    }.items():
        with pytest.raises(ModelError, match=said):
            post.probability(claim)
    with pytest.raises(ModelError, match="is a text"):
        post.probability(lambda d: d["Days"] > 0)


def test_effects_of_groups_hold_more_than_the_modes_do():
    post, _ = sleep_posterior()
    ours, modes = post.ranef()["Subject"], post.fit.ranef(cond_sd=True)["Subject"]
    assert np.abs(ours["Days"] - modes["Days"]).max() < 0.5 * modes["sd Days"].max()
    assert (ours["sd Intercept"] > 0.9 * modes["sd Intercept"]).all()
    assert post.random_effects["Subject"].shape == (4000, 2, 18)


def test_predictions_follow_from_the_draws():
    post, s = sleep_posterior()
    d, b = post.draws, post.random_effects["Subject"]
    row = {"Days": [4.0], "Subject": ["309"]}
    eta = d["Intercept"] + 4 * d["Days"] + b[:, 0, 1] + 4 * b[:, 1, 1]
    found = post.predict(row, level=0.9).iloc[0]
    np.testing.assert_allclose(found, [eta.mean(), *eta.quantile([0.05, 0.95])])
    typical = post.predict({"Days": [4.0]}, re_form="~0").iloc[0]
    fixed = d["Intercept"] + 4 * d["Days"]
    np.testing.assert_allclose(typical, [fixed.mean(), *fixed.quantile([0.025, 0.975])])
    np.testing.assert_allclose(post.predict({"Days": [4.0]}, re_form="marginal").iloc[0], typical)
    assert len(post.predict()) == len(s)


def test_new_groups_draw_their_own_effects_and_rows_of_one_share_them():
    post, _ = sleep_posterior()
    d = post.draws
    new = {"Days": [0.0, 0.0], "Subject": ["new", "new"]}
    mean = post.predict(new, allow_new_levels=True)
    assert mean["lower"].iloc[0] == mean["lower"].iloc[1]
    sd = np.sqrt(d["Intercept"].var() + (d["sd Subject.Intercept"] ** 2).mean())
    assert (mean["upper"] - mean["lower"]).iloc[0] == pytest.approx(2 * 1.96 * sd, rel=0.1)
    wide = post.predict(new, allow_new_levels=True, interval="prediction")
    sd = np.sqrt(sd**2 + (d["sigma"] ** 2).mean())
    assert (wide["upper"] - wide["lower"]).iloc[0] == pytest.approx(2 * 1.96 * sd, rel=0.1)
    other = post.predict({"Days": [0.0]}, re_form="~0", interval="prediction")
    assert (other["upper"] - other["lower"]).iloc[0] == pytest.approx(2 * 1.96 * sd, rel=0.1)
    with pytest.raises(gl.errors.DataError, match="has levels"):
        post.predict(new)


def test_predictions_of_a_generalised_model_are_on_the_scale_of_the_response():
    post = gl.posterior(fitted(ONE, "pois6", "poisson"), draws=500, rng=1)
    d = post.draws
    link = post.predict({"x": [0.0]}, re_form="~0", kind="link")
    np.testing.assert_allclose(link["estimate"], d["Intercept"].mean())
    response = post.predict({"x": [0.0]}, re_form="~0")
    np.testing.assert_allclose(response["lower"], np.exp(link["lower"]), rtol=2e-2)
    average = post.predict({"x": [0.0]}, re_form="marginal")
    middle = np.exp(d["Intercept"] + 0.5 * d["sd g.Intercept"] ** 2)
    np.testing.assert_allclose(average["upper"], middle.quantile(0.975))
    counts = post.predict({"x": [0.0, 1.0], "g": ["g0", "g1"]}, interval="prediction")
    assert (counts[["lower", "upper"]] % 0.5 == 0).all(axis=None)
    trials = gl.posterior(fitted(CBPP, "cbpp", "binomial"), draws=200, rng=1)
    assert trials.predict(interval="prediction")["upper"].between(0, 1).all()
    assert trials.prior_predictive(20).min() >= 0


def test_bad_questions_of_predictions_are_refused():
    post, _ = sleep_posterior()
    for options, said in (
        ({"kind": "zero"}, "kind is"),
        ({"interval": None}, "interval is"),
        ({"interval": "prediction", "re_form": "marginal"}, "new observation"),
        ({"weights": np.ones(180)}, "interval='prediction'"),
        ({"re_form": "~(1 | nobody)"}, "nobody"),
        ({"re_form": np.ones(2)}, "re_form is"),
        ({"interval": "prediction", "re_form": "~(1 | Subject)"}, "all random effects"),
    ):
        with pytest.raises(ModelError, match=said):
            post.predict(**options)


def test_draws_from_the_priors_are_as_wide_as_these():
    post, _ = sleep_posterior()
    y = post.prior_predictive(4000)
    assert y.shape == (180, 4000)
    assert np.median(y) == pytest.approx(post.fit.design.y.mean(), abs=10)
    assert np.quantile(np.abs(y - np.median(y)), 0.5) > 100
    assert not np.array_equal(y, post.prior_predictive(4000, rng=5))


def test_narrower_priors_draw_sds_towards_zero():
    post = gl.posterior(fitted(ONE, "bern5", "binomial"), draws=400, rng=1)
    t = post.sensitivity([0.1, 1, 3])
    means = t.loc["sd g.Intercept", "mean"]
    assert list(means.index) == [0.1, 1.0, 3.0]
    assert means.is_monotonic_increasing
    assert means[0.1] < 0.5 * means[1.0]
    for factors in ([0.0], [], "wide", [np.nan], {"sd": 2}, 1j):
        with pytest.raises(ModelError, match="positive"):
            post.sensitivity(factors)


def test_arviz_is_an_extra(monkeypatch):
    post = gl.posterior(fitted(ONE, "lmm5"), draws=150, rng=1)
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(ModelError, match="arviz-base"):
        post.to_arviz()
    kept = SimpleNamespace(from_dict=lambda data, coords, dims: (data, coords, dims))
    monkeypatch.setitem(sys.modules, "arviz_base", kept)
    data, coords, dims = post.to_arviz()
    assert data["posterior"]["sd g.Intercept"].shape == (1, 150)
    assert data["posterior"]["b g"].shape == (1, 150, *(len(coords[name]) for name in dims["b g"]))


# --- what is refused -------------------------------------------------------------------------------------


def test_what_is_not_there_is_refused_in_a_sentence():
    s, ticks = gl.load("sleepstudy"), gl.load("cbpp")
    counts = pd.DataFrame({"y": [0, 1, 0, 3, 2, 0, 4, 1] * 6, "g": np.repeat(np.arange(6), 8)})
    counts["x"] = np.tile(np.arange(8.0), 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        refused = {
            "residual side": gl.lmer("Reaction ~ Days", s, residual="ar1(Days | Subject)"),
            "curves": gl.lmer("Reaction ~ s(Days, k=5) + (1 | Subject)", s),
            "structural zeros": gl.glmer("y ~ x + (1 | g)", counts, family="poisson", zi="~ 1"),
            "formula of its own": gl.glmer("y ~ x + (1 | g)", counts, family="negbinomial", dispersion="~ x"),
            "another covariance": gl.lmer("Reaction ~ Days + cs(Days | Subject)", s),
            "without a mean": gl.glmer(
                "y ~ x + (1 | g)", counts.assign(y=counts["y"] + 1), family="poisson", link="identity"
            ),
        }
    for said, fit in refused.items():
        with pytest.raises(ModelError, match=said):
            gl.posterior(fit, rng=1)
    fit = gl.glmer(CBPP, ticks, family="binomial")
    with pytest.raises(ModelError, match="Generator or a seed"):
        gl.posterior(fit)
    with pytest.raises(ModelError, match=r"no argument 'prior'.* is fixef here"):
        gl.posterior(fit, prior="normal(0, 1)", rng=1)
    for draws in (True, 0, 99, 200.0, "many"):
        with pytest.raises(ModelError, match="draws is"):
            gl.posterior(fit, draws=draws, rng=1)
    for given in ({"fixef": "flat"}, {"sd": "uniform(0, 10)"}):
        with pytest.raises(ModelError, match="no distribution"):
            gl.posterior(fit, rng=1, **given)


def test_draws_that_cannot_be_trusted_are_refused_with_khat():
    """A likelihood with a spike that the proposals hardly ever meet."""
    fit = fitted(ONE, "lmm5")
    scores = NormalScores(fit, priors_of(fit, None, None, None))

    class Spiked(LinearMarginal):
        def weigh(self, Z, rng):
            return self.log_likelihood(Z) + 6.0 * rng.standard_cauchy(len(Z)), None

    with pytest.raises(ModelError, match=r"khat.* is (\d|inf).*0\.7"):
        sample(Spiked(fit, scores), scores.start(fit), 200, np.random.default_rng(1))


@pytest.mark.parametrize("shape", [-0.3, 0.1, 0.5, 0.9])
def test_the_shape_of_a_pareto_tail_is_found(shape):
    u = (np.arange(2000) + 0.5) / 2000
    found, scale = pareto_fit(3.0 * np.expm1(-shape * np.log1p(-u)) / shape)
    assert found == pytest.approx(shape, abs=0.03)
    assert scale == pytest.approx(3.0, rel=0.05)


def test_smoothed_weights_keep_order_and_sum():
    rng = np.random.default_rng(3)
    log_w = rng.standard_t(3, 2000)
    weights, khat = smoothed(log_w)
    assert weights.sum() == pytest.approx(1.0)
    assert (np.diff(weights[np.argsort(log_w)]) >= -1e-15).all()
    assert weights.max() <= np.exp(log_w - np.logaddexp.reduce(log_w)).max()
    shifted, same = smoothed(log_w + 700.0)
    assert same == pytest.approx(khat)
    np.testing.assert_allclose(shifted, weights)
    assert smoothed(np.full(100, -np.inf))[1] == np.inf
    assert smoothed(np.zeros(100))[1] == -np.inf
