"""Posterior draws of ordinal models: calibration, two categories, predictions, priors of widths."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.bayes.generalised import GeneralisedMarginal
from glmmlib.bayes.importance import sample
from glmmlib.bayes.scores import NormalScores
from glmmlib.bayes.specification import priors_of
from glmmlib.errors import GlmmlibWarning, ModelError
from support import reference_values as reference

FORMULA = "rating ~ temp + contact + (1 | judge)"


def wine_fit(formula=FORMULA):
    wine = reference.data("wine")
    data = wine.assign(rating=pd.Categorical(wine["rating"], list("12345"), ordered=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        return gl.glmer(formula, data, family="ordinal")


@pytest.fixture(scope="module")
def post():
    return gl.posterior(wine_fit(), rng=1)


def test_simulation_based_calibration():
    """Where the truth is drawn from the priors, its rank among the draws is uniform: four categories."""
    rng, J, n, R = np.random.default_rng(2026), 8, 6, 80
    d = pd.DataFrame({"g": np.repeat(np.arange(J), n), "x": np.tile(np.linspace(-1.5, 1.5, n), J)})
    d["y"] = np.tile([1, 2, 3, 4], J * n // 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fit = gl.glmer("y ~ x + (1 | g)", d, family="ordinal")
        made = priors_of(fit, {"x": "normal(0, 1)"}, "half_t(3, 1)", None, widths="gamma(2, 1)")
        scores, ranks = NormalScores(fit, made), []
        for z in rng.standard_normal((R, scores.size)):
            par = scores.at(z[None])
            b = par.roots[0][0, 0, 0] * rng.normal(size=J)
            eta = fit.X @ par.beta[0] + b[d["g"]]
            y = fit.family.draw(eta, None, par.auxiliary[0], rng)
            problem = fit.solution.problem.with_response(y)
            marginal = GeneralisedMarginal(
                SimpleNamespace(solution=SimpleNamespace(problem=problem), groups=fit.groups), scores
            )
            found = sample(marginal, np.zeros(scores.size), 100, rng)
            drawn = marginal.effects(found.Z, None, found.which, rng)
            at = scores.at(found.Z)
            truths = [(drawn.beta[:, k], par.beta[0, k]) for k in range(2)]
            truths += [(at.auxiliary[:, k], par.auxiliary[0, k]) for k in range(2)]
            truths += [(at.roots[0][:, 0, 0], par.roots[0][0, 0, 0]), (drawn.random[0][:, 0, 2], b[2])]
            ranks.append([(values < truth).mean() for values, truth in truths])
    ranks = np.array(ranks)
    np.testing.assert_allclose(ranks.mean(axis=0), 0.5, atol=4.0 * np.sqrt(1 / 12 / R))
    assert (np.abs((np.abs(ranks - 0.5) < 0.475).mean(axis=0) - 0.95) < 0.09).all()


def test_two_categories_are_a_binomial_response():
    rng = np.random.default_rng(4)
    d = pd.DataFrame({"g": np.repeat(np.arange(8), 10), "x": rng.normal(size=80)})
    d["z"] = (0.8 * d["x"] + rng.normal(size=8)[d["g"]] + rng.logistic(size=80) > 0).astype(int)
    a = gl.posterior(gl.glmer("y ~ x + (1 | g)", d.assign(y=d["z"] + 1), family="ordinal"), draws=500, rng=1)
    b = gl.posterior(gl.glmer("z ~ x + (1 | g)", d, family="binomial"), draws=500, rng=1)
    np.testing.assert_allclose(a.draws, b.draws, atol=1e-5)


def test_the_priors_of_widths_are_shown_and_can_be_told(post):
    assert [dict(post.priors.described())[f"width {k}"] for k in "234"] == ["gamma(2, 1)"] * 3
    narrow = gl.posterior(wine_fit(), widths="gamma(40, 40)", rng=1, draws=1000)
    assert (narrow.summary().loc["width 2":, "mean"] < post.summary().loc["width 2":, "mean"]).all()
    with pytest.raises(ModelError, match="has no dispersion"):
        gl.posterior(wine_fit(), dispersion="exponential(1)", rng=1)
    sleep = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    with pytest.raises(ModelError, match="has no widths"):
        gl.posterior(sleep, widths="exponential(1)", rng=1)


def test_what_is_drawn_from_it(post):
    names = [
        "Intercept",
        "temp[T.warm]",
        "contact[T.yes]",
        "sd judge.Intercept",
        "width 2",
        "width 3",
        "width 4",
    ]
    assert list(post.draws) == names and (post.draws.loc[:, "width 2":] > 0).all(axis=None)
    new = {"temp": ["cold", "warm"], "contact": "no"}
    found = post.predict(new, re_form="~0")
    mean = [
        post.fit.family.mean(
            post.draws.iloc[:, :2].to_numpy() @ row, post.draws.iloc[:, 4:].to_numpy()
        ).mean()
        for row in ([1.0, 0.0], [1.0, 1.0])
    ]
    np.testing.assert_allclose(found["estimate"], mean, rtol=1e-10)
    marginal, likelihood = (f.predict(new, re_form="marginal") for f in (post, post.fit))
    assert (np.abs(marginal["estimate"] - likelihood) < 0.15).all()
    assert set(np.unique(post.prior_predictive(50))) == {1.0, 2.0, 3.0, 4.0, 5.0}
    ends = post.predict(new, re_form="~0", interval="prediction")[["lower", "upper"]]
    assert np.isin(ends, range(1, 6)).all()
    assert post.probability("width 2 > width 4") > 0.8


def test_two_factors_are_taken_point_by_point():
    post = gl.posterior(wine_fit(FORMULA + " + (1 | bottle)"), draws=200, rng=1)
    assert list(post.draws)[-3:] == ["width 2", "width 3", "width 4"] and post.khat < 0.7
