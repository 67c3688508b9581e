"""A column may have any name in every place of a model, and is named with or without backticks after it."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import FormulaError, ModelError

NAMES = [
    "lambda",
    "not",
    "None",
    "np",
    "__w__",
    "2Days",
    "x[0]",
    "x|g",
    "my w ",
    "a\nb",
    "a\r\n\tb",
    "a\\b",
    "µ",
]
COUNTS = {"family": "poisson"}

# the column of each name, and where it stands
PLACES = {
    "response": ("w", gl.lmer, "log({}) ~ x + (1 | g)", {}),
    "power": ("w", gl.lmer, "y ~ I({}^2) + (1 | g)", {}),
    "contrasts": ("f", gl.lmer, "y ~ C({}, contr.sum) * x + (1 | g)", {}),
    "slope": ("w", gl.lmer, "y ~ {0} + ({0} || g)", {}),
    "nested": ("g", gl.lmer, "y ~ x + (1 | {}/f)", {}),
    "times": ("t", gl.lmer, "y ~ x + ar1(0 + {} | g)", {}),
    "weights": ("w", gl.lmer, "y ~ x + (1 | g)", {"weights": "{}"}),
    "offset": ("w", gl.glmer, "k ~ x + (1 | g)", COUNTS | {"offset": "{}"}),
    "offset in the formula": ("w", gl.glmer, "k ~ x + offset(log({})) + (1 | g)", COUNTS),
    "plain offset": ("w", gl.glmer, "k ~ x + offset({}) + (1 | g)", COUNTS),
    "trials": ("k", gl.glmer, "cbind({}, t) ~ x + (1 | g)", {"family": "binomial"}),
    "dispersion": ("w", gl.glmer, "k ~ x + (1 | g)", {"family": "negbinomial", "dispersion": "~ {}"}),
    "structural zeros": ("x", gl.glmer, "k ~ w + (1 | g)", COUNTS | {"zi": "~ {}"}),
    "residual SD": ("f", gl.lmer, "y ~ x + (1 | g)", {"sigma": "~ {}"}),
    "positions": ("t", gl.lmer, "y ~ x", {"residual": "ar1({} | g)"}),
    "blocks": ("g", gl.lmer, "y ~ x", {"residual": "cs(0 + t | {}, hom=TRUE)"}),
    "curve": ("x", gl.lmer, "y ~ s({}, k=5) + (1 | g)", {}),
    "curves by a factor": ("f", gl.lmer, "y ~ {0} + s(x, k=5, by={0}) + (1 | g)", {}),
    "curves by a number": ("w", gl.lmer, "y ~ {0} + s(x, k=5, by={0}) + (1 | g)", {}),
    "curves at random": ("x", gl.lmer, "y ~ (s({}, k=5) | g)", {}),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(12), 8)
    d = pd.DataFrame({"g": [f"g{i}" for i in g], "t": np.tile(np.arange(8), 12), "x": rng.normal(size=96)})
    d["f"], d["w"] = rng.choice(list("abc"), 96), rng.uniform(0.5, 2.0, 96)
    eta = 0.3 + 0.4 * d.x + rng.normal(0, 0.5, 12)[g]
    d["y"], d["k"] = eta + rng.normal(0, 0.7, 96), rng.poisson(np.exp(eta))
    return d


def fitted(place, name, data):
    column, function, formula, options = PLACES[place]
    spelt = f"`{name}`"
    given = {k: v.format(spelt) for k, v in options.items()}
    return function(formula.format(spelt), data.rename(columns={column: name}), **given)


@pytest.fixture(scope="module")
def plain(data):
    return {place: fitted(place, PLACES[place][0], data) for place in PLACES}


@pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_backticks_stands_for_its_column_in_every_place(place, name, data, plain):
    fit, rows = fitted(place, name, data), data[data.t > 0]
    assert fit.deviance == pytest.approx(plain[place].deviance, abs=1e-6)
    predicted = fit.predict(rows.rename(columns={PLACES[place][0]: name}))
    np.testing.assert_allclose(predicted, plain[place].predict(rows), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_is_changed_and_its_terms_are_tested_whatever_they_are_called(name, data, plain):
    for place in ("contrasts", "curves by a factor"):
        fit = fitted(place, name, data)
        assert fit.update(". ~ . + w").deviance == pytest.approx(plain[place].update(". ~ . + w").deviance)
        np.testing.assert_allclose(gl.anova(fit).table["p"], gl.anova(plain[place]).table["p"], rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_after_the_fit_a_name_is_given_with_or_without_backticks(name, data):
    renamed = data.rename(columns={"w": name, "f": name + "f"})
    fit = gl.lmer(f"y ~ `{name}f` * `{name}` + (1 | g)", renamed)
    at = {name: [0.0, 1.0]}
    for one, other in [
        (gl.means(fit, name, at=at), gl.means(fit, f"`{name}`", at={f"`{name}`": [0.0, 1.0]})),
        (gl.slopes(fit, name), gl.slopes(fit, f"`{name}`")),
        (gl.comparisons(fit, [name]), gl.comparisons(fit, [f"`{name}`"])),
    ]:
        pd.testing.assert_frame_equal(one.table, other.table)
    product = next(c for c in fit.params.index if "T.b" in c and ":" in c)
    written = f"`{name}f`[T.b]:`{name}`"
    expected = gl.wald_test(fit, {product: 1.0}).p
    for contrast in (
        f"{written} = 0",
        f"0 = {written}",
        f"2 * {product}",
        {written: 1.0},
        {f"`{product}`": 1.0},
    ):
        assert gl.wald_test(fit, contrast).p == pytest.approx(expected)
    ax = gl.plots.simple_effect(fit, f"`{name}f`[T.b]", written, x=[0.0, 1.0])
    assert ax.lines[0].get_ydata()[0] == pytest.approx(fit.params.iloc[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_curve_is_found_by_its_column(name, data):
    fit = gl.lmer(f"y ~ s(`{name}`, k=5) + s(w, k=5)", data.rename(columns={"x": name}))
    expected = gl.smooth_curve(fit, fit.groups[0].name, at=[0.0])
    for found in (name, f"`{name}`", f"s({name})", f"s(`{name}`)"):
        pd.testing.assert_frame_equal(gl.smooth_curve(fit, found, at=[0.0]), expected)
    with pytest.raises(ModelError, match="name one of the curves"):
        gl.smooth_curve(fit, "no such")


def test_lines_of_a_model_whose_predictor_needs_backticks(data):
    fit = gl.lmer("y ~ `x[0]` + (1 | g)", data.rename(columns={"x": "x[0]"}))
    for name in ("x[0]", "`x[0]`"):
        assert len(gl.plots.group_lines(fit, name).lines) >= 13


@pytest.mark.parametrize("formula", ["y ~ I(`a`b`) + log(`w`) + (1 | g)", "y ~ x + (1 | `g`h`)"])
def test_a_name_with_a_backtick_in_it_is_refused_in_the_words_of_the_formula(formula, data):
    with pytest.raises(FormulaError) as found:
        gl.lmer(formula, data)
    assert "_c" not in str(found.value)
    assert str(found.value).count("\n") == 2


def test_the_pointer_of_an_error_stands_below_its_place_beside_a_name_with_a_line_break(data):
    with pytest.raises(FormulaError) as found:
        gl.lmer("y ~ `a\nb` + + (1 | g))", data)
    _, formula, pointer = str(found.value).split("\n")
    assert formula[pointer.index("^")] == ")"
