"""Fits, and what is made of them, survive pickling: before and after everything that they keep has been
computed.
"""

import pickle

import numpy as np
import pytest

import glmmlib as gl

MODELS = {
    "linear": lambda: gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy")),
    "crossed": lambda: gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", gl.load("Penicillin")),
    "binomial": lambda: gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    ),
    "quadrature": lambda: gl.glmer(
        "presence ~ 1 + (1 | region)", gl.load("frogs"), family="binomial", n_agq=9
    ),
}


def again(thing):
    return pickle.loads(pickle.dumps(thing))


@pytest.fixture(params=MODELS, scope="module")
def fit(request):
    return MODELS[request.param]()


def same(fit, other):
    assert str(other.summary()) == str(fit.summary())
    np.testing.assert_array_equal(other.conf_int(), fit.conf_int())
    np.testing.assert_array_equal(other.predict(fit.design.data.head()), fit.predict(fit.design.data.head()))
    for name, modes in fit.ranef(cond_sd=True).items():
        np.testing.assert_array_equal(other.ranef(cond_sd=True)[name], modes)


def test_fresh_fit(fit):
    same(fit, again(fit))


def test_fit_whose_results_have_been_used(fit):
    fit.summary(), fit.conf_int(), fit.fittedvalues, fit.Z, fit.Lambda, fit.is_singular, gl.icc(fit)
    fit.conf_int(method="profile")
    if fit.family is None:
        fit.summary("kenward-roger" if fit.reml else None), gl.conditional_aic(fit)
    other = again(fit)
    same(fit, other)
    y = fit.simulate(rng=np.random.default_rng(1))
    assert other.refit(y).deviance == fit.refit(y).deviance
    assert other.update("~ .").deviance == fit.update("~ .").deviance


def test_refits_and_their_degrees_of_freedom(fit):
    many = fit.refit_many(fit.simulate(5, rng=np.random.default_rng(1)))
    other = again(many)
    np.testing.assert_array_equal(other.params, many.params)
    np.testing.assert_array_equal(other.df, many.df)
    np.testing.assert_array_equal(other.pvalues(), many.pvalues())


@pytest.mark.parametrize(
    "make",
    [
        gl.profile,
        gl.icc,
        gl.r2,
        lambda fit: fit.summary(),
        gl.shrinkage,
        gl.compare,
        gl.anova,
        lambda fit: fit.bootstrap(40, rng=np.random.default_rng(1)),
        lambda fit: fit.varcorr,
        lambda fit: fit.convergence,
    ],
)
def test_results(make):
    result = make(MODELS["linear"]())
    assert str(again(result)) == str(result)
