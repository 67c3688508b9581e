"""A column may have any name: renaming it changes no number."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError

NAMES = [
    "Intercept", "1", "0", "2.5", "x:z", "x * z", "x + z", "log(x)", "I(x ** 2)", "a[T.q]", "np", "log",
    "C", "contr",
    "my w", "w.w", "class", "None", "True", "in", "lambda", "µ", "μg", "é", "v0_", "_w", "__w__",
    "__FORMULAIC_STATE__",
    "w|g", "(w)", "w~", "'w'", '"w"', "%w%", "w\\", "{w}", "w,w", "poly", "offset", "cbind", "I", "TRUE",
    "Sum", "print",
]  # fmt: skip


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    n = 240
    d = pd.DataFrame({"g": np.repeat(range(24), 10), "x": rng.normal(size=n), "z": rng.normal(size=n)})
    d["a"], d["w"] = rng.choice(list("pqr"), n), rng.uniform(1, 3, n)
    d["y"] = 5 + 0.4 * d.x + 0.5 * d.w + rng.normal(0, 1, 24)[d.g] + (d.a == "q") + rng.normal(size=n)
    return d


@pytest.fixture(scope="module", params=["0 + x * z + a * {w} + I({w}**2)", "x + log({w}) + bs({w}, df=4):a"])
def right(request):
    return request.param


@pytest.fixture(scope="module")
def plain(data, right):
    return gl.lmer(f"y ~ {right.format(w='w')} + (1 | g)", data, reml=False)


@pytest.fixture(scope="module")
def plain_slopes(data):
    return gl.lmer("y ~ x + (w | g)", data)


@pytest.mark.parametrize("name", NAMES)
def test_as_a_fixed_effect(data, name, right, plain):
    renamed = data.rename(columns={"w": name})
    odd = gl.lmer(f"y ~ {right.format(w=f'`{name}`')} + (1 | g)", renamed, reml=False)
    np.testing.assert_allclose(odd.params.to_numpy(), plain.params.to_numpy(), rtol=1e-9)
    assert odd.deviance == pytest.approx(plain.deviance, abs=1e-9)
    assert odd.params.index.is_unique and len(odd.design.term_slices) == len(plain.design.term_slices)
    np.testing.assert_allclose(odd.predict(renamed.head()), plain.predict(data.head()), rtol=1e-9)
    np.testing.assert_allclose(gl.anova(odd).table, gl.anova(plain).table, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_everywhere_else(data, name, plain_slopes):
    renamed = data.rename(columns={"w": name, "g": name + "g", "y": name + "y"})
    plain = plain_slopes
    odd = gl.lmer(f"`{name}y` ~ x + (`{name}` | `{name}g`)", renamed)
    assert odd.deviance == pytest.approx(plain.deviance, abs=1e-6)
    assert odd.groups[0].columns[0] == "Intercept"
    assert odd.update(". ~ . - x").deviance == pytest.approx(plain.update(". ~ . - x").deviance, abs=1e-6)
    np.testing.assert_allclose(odd.predict(renamed.head()), plain.predict(data.head()), rtol=1e-6)
    for shown in (repr(odd), str(odd.summary()), odd._repr_html_(), str(gl.report(odd))):
        assert shown


@pytest.mark.parametrize("quotation", ["`{}`", "Q('{}')"])
def test_patsys_quotation(data, quotation):
    odd = gl.lmer(f"y ~ log({quotation.format('my w')}) + (1 | g)", data.rename(columns={"w": "my w"}))
    assert odd.deviance == pytest.approx(gl.lmer("y ~ log(w) + (1 | g)", data).deviance)


def test_the_micro_sign_of_a_keyboard_and_the_greek_letter_are_one_name(data):
    plain = gl.lmer("y ~ w + log(w) + (1 | g)", data)
    for typed in "\u00b5\u03bc":
        for stored in "\u00b5\u03bc":
            fit = gl.lmer(f"y ~ {typed} + log({typed}) + (1 | g)", data.rename(columns={"w": stored}))
            assert fit.deviance == pytest.approx(plain.deviance)


def test_names_that_are_no_text(data):
    numbered = data.rename(columns={"w": 3, "x": 4})
    fit = gl.lmer("y ~ `3` + log(`3`) + (1 | g)", numbered, weights="3")
    other = gl.lmer("y ~ w + log(w) + (1 | g)", data, weights="w")
    assert fit.deviance == pytest.approx(other.deviance)
    np.testing.assert_allclose(fit.predict(numbered.head()), other.predict(data.head()))
    assert list(numbered.columns) == ["g", 4, "z", "a", 3, "y"]


def test_names_of_several_levels_are_refused(data):
    wide = data.copy()
    wide.columns = pd.MultiIndex.from_product([["all"], wide.columns])
    with pytest.raises(DataError, match="names of several levels"):
        gl.lmer("y ~ x + (1 | g)", wide)


def test_levels_that_spell_each_others_names_are_refused(data):
    odd = data.assign(
        a=data.a.map({"p": "p", "q": "q]:b[T.r", "r": "q"}), b=np.tile(["p", "r", "r]", "q"], 60)
    )
    with pytest.raises(DataError, match="rename levels"):
        gl.lmer("y ~ a:b + a + b + (1 | g)", odd)
