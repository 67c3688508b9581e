"""Writing into what a fit hands out does not change the fit."""

import numpy as np
import pytest

import glmmlib as gl

FITS = {
    "lmer": lambda: gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy")),
    "glmer": lambda: gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    ),
}


def scale(thing):
    thing *= 1000


def rename(thing):
    thing.index = [f"new {name}" for name in thing.index]


def relabel(thing):
    thing.rename(index=lambda name: f"new {name}", inplace=True)


HANDED_OUT = {
    "params": lambda fit: fit.params,
    "fixef": lambda fit: fit.fixef,
    "bse": lambda fit: fit.bse,
    "theta": lambda fit: fit.theta,
    "fittedvalues": lambda fit: fit.fittedvalues,
    "sd": lambda fit: next(iter(fit.varcorr.values())).sd,
    "modes": lambda fit: next(iter(fit.ranef().values())),
}


@pytest.mark.parametrize("model", FITS)
@pytest.mark.parametrize("name", HANDED_OUT)
@pytest.mark.parametrize("write", [scale, rename, relabel])
def test_a_fit_stays_as_it_was(model, name, write):
    fit, untouched = FITS[model](), FITS[model]()
    write(HANDED_OUT[name](fit))
    assert str(fit.summary()) == str(untouched.summary())
    assert HANDED_OUT[name](fit).equals(HANDED_OUT[name](untouched))
    np.testing.assert_array_equal(fit.predict(), untouched.predict())
    np.testing.assert_array_equal(fit.resid, untouched.resid)
