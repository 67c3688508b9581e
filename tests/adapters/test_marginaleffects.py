"""marginaleffects' own functions find in an adapted fit what ours find; `make adapters` installs them."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError
from support import reference_values as reference

me = pytest.importorskip("marginaleffects", reason="it has an environment of its own: make adapters")
adapted = pytest.importorskip("glmmlib.adapters.marginaleffects").adapted

pytestmark = pytest.mark.filterwarnings("ignore::glmmlib.errors.QuadratureWarning")


def ratings():
    data = reference.data("sim_ratings")
    return data.assign(y=pd.Categorical(data["y"], list("12345"), ordered=True), high=data["x"] > 0)


def ticks():
    data = gl.load("grouseticks").assign(height=lambda d: (d["HEIGHT"] - 460) / 100)
    return gl.glmer("TICKS ~ YEAR + height + offset(0.1 * height) + (height | BROOD)", data, family="poisson")


FITS = {
    "linear": lambda: gl.lmer("distance ~ Sex * age + (age | Subject)", gl.load("Orthodont")),
    "binomial": lambda: gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    ),
    "zeros": lambda: gl.glmer(
        "beetles ~ shade + (1 | site)", reference.data("traps"), family="negbinomial", zi="~ shade"
    ),
    "ordinal": lambda: gl.glmer("y ~ x + high + (1 | g)", ratings(), family="ordinal"),
    "slopes": ticks,
}


CHANGES = {
    "linear": {"age": (8, 14), "Sex": "pairwise"},
    "binomial": {"period": "pairwise"},
    "zeros": {"shade": (-1, 1)},
    "ordinal": {"x": (0, 1), "high": (False, True)},
    "slopes": {"YEAR": "pairwise", "height": (0, 1)},
}


@pytest.fixture(scope="module", params=FITS)
def one(request):
    return FITS[request.param](), CHANGES[request.param]


def compare(found, wanted):
    """To what their one-sided differences leave: steps of 1e-5 in the parameters."""
    for theirs, ours in (
        ("estimate", "estimate"),
        ("std_error", "se"),
        ("conf_low", "lower"),
        ("conf_high", "upper"),
    ):
        np.testing.assert_allclose(found[theirs].to_numpy(), wanted[ours], rtol=5e-5, atol=1e-8)


@pytest.mark.parametrize("re_form", ["marginal", "~0"])
@pytest.mark.parametrize("kind", ["response", "link"])
def test_comparisons_and_slopes_are_ours(one, re_form, kind):
    fit, changes = one
    asked, model = {"re_form": re_form, "kind": kind}, adapted(fit, re_form, kind)
    for name, change in changes.items():
        wanted = gl.comparisons(fit, {name: change}, **asked, ddf="z").table
        theirs = list(change) if isinstance(change, tuple) and name != "high" else change
        found = me.avg_comparisons(model, variables=name if name == "high" else {name: theirs}, eps_vcov=1e-5)
        compare(found, wanted)
        if isinstance(change, tuple) and name != "high":
            compare(
                me.avg_slopes(model, variables=name, eps_vcov=1e-5),
                gl.slopes(fit, name, **asked, ddf="z").table,
            )


def test_split_averages_odds_ratios_and_hypotheses():
    fit = FITS["binomial"]()
    model = adapted(fit)
    wanted = gl.comparisons(fit, "period", change="odds ratio").table
    found = me.avg_comparisons(model, variables="period", comparison="lnoravg")
    np.testing.assert_allclose(np.exp(found["estimate"].to_numpy()), wanted["estimate"], rtol=1e-6)
    np.testing.assert_allclose(np.exp(found["conf_low"].to_numpy()), wanted["lower"], rtol=1e-5)
    by = me.avg_predictions(model, by="period")
    expected = fit.predict({"period": list("1234")}, re_form="marginal")
    np.testing.assert_allclose(by["estimate"].to_numpy(), expected, rtol=1e-8)
    table = gl.comparisons(fit, {"period": ("2", "3")}).table  # (3 - 1) - (2 - 1)
    found = me.avg_comparisons(model, variables="period", hypothesis="b1 - b0 = 0")
    compare(found, table)
    assert "std_error" not in me.avg_comparisons(model, variables="period", vcov=False).columns


def test_what_it_does_not_take():
    sleep = gl.load("sleepstudy")
    curve = gl.lmer("Reaction ~ s(Days, k=5) + (1 | Subject)", sleep)
    own = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep, offset=np.ones(180))
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    for match, ask in {
        "curves": lambda: adapted(curve),
        "write offset\\(\\) into": lambda: adapted(own),
        "re_form is 'marginal' or '~0'": lambda: adapted(fit, None),
        "kind is 'response'": lambda: adapted(fit, kind="zero"),
        "vcov is True, False or a matrix": lambda: me.avg_slopes(adapted(fit), vcov="HC3"),
    }.items():
        with pytest.raises(ModelError, match=match):
            ask()
