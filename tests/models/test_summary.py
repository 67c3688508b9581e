"""Summaries as text and as HTML."""

import re
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import glmmlib as gl
from support import reference_values as reference

SLEEP = """\
Linear mixed model by REML
Formula    Reaction ~ Days + (Days | Subject)
Rows       180
Groups     Subject 18
Fit        REML criterion 1743.628, AIC 1755.63, BIC 1774.79
Residuals  scaled: min -3.95, 1st quartile -0.46, median 0.02, 3rd quartile
           0.46, max 5.18

Random effects
  Group     Effect     Variance      SD  Corr
  Subject   Intercept    612.10  24.741
            Days          35.07   5.922  0.07
  Residual               654.94  25.592

Fixed effects (t tests, Satterthwaite degrees of freedom)
             Estimate     SE    df      t        p
  Intercept   251.405  6.825  17.0  36.84  < 0.001
  Days         10.467  1.546  17.0   6.77  < 0.001"""

FORMULAS = {
    "sleepstudy": "Reaction ~ Days + (Days || Subject)",
    "Machines": "score ~ Machine + (Machine | Worker)",
    "Oats": "yield ~ nitro * Variety + (1 | Block/Variety)",
    "Penicillin": "diameter ~ 1 + (1 | plate) + (1 | sample)",
    "Dyestuff2": "Yield ~ 0 + (1 | Batch)",
}


@pytest.fixture(scope="module")
def fits():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [gl.lmer(formula, reference.data(name)) for name, formula in FORMULAS.items()]
        cbpp = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        found += [gl.glmer(cbpp, gl.load("cbpp"), family="binomial", n_agq=n) for n in (1, 7)]
    return found


def test_the_summary_of_sleepstudy():
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    assert _numbers_apart(str(fit.summary())) == _numbers_apart(SLEEP)
    ours, frozen = ([float(x) for x in _NUMBER.findall(text)] for text in (str(fit.summary()), SLEEP))
    np.testing.assert_allclose(ours, frozen, atol=0.0101)  # the last digit may round either way
    assert (
        repr(fit) == "<Linear mixed model by REML: Reaction ~ Days + (Days | Subject); 180 rows; Subject 18>"
    )


_NUMBER = re.compile(r"-?\d+\.\d+")


def _numbers_apart(text):
    return _NUMBER.sub("#", text)


def test_no_line_is_wider_than_eighty_columns(fits):
    for fit in fits:
        assert max(map(len, str(fit.summary()).splitlines())) <= 80
        assert max(map(len, str(gl.anova(fit)).splitlines())) <= 80


def test_long_names_are_shortened_in_text_only():
    table = gl.load("sleepstudy")
    name = "a_name_that_goes_on_and_on_for_more_than_the_eighty_columns_that_a_line_can_hold"
    fit = gl.lmer(f"Reaction ~ {name} + (1 | Subject)", table.rename(columns={"Days": name}))
    text = str(fit.summary())
    assert max(map(len, text.splitlines())) <= 80 and "…" in text
    assert f'<th scope="row">{name}</th>' in fit._repr_html_()


def test_html_is_well_formed_and_accessible(fits):
    for fit in fits:
        for html in (fit._repr_html_(), gl.anova(fit)._repr_html_(), gl.compare(fit)._repr_html_()):
            root = ET.fromstring(html)  # raises where tags do not match
            for table in root.iter("table"):
                assert table.find("caption") is not None and table.find("caption").text
                assert all(th.get("scope") in ("row", "col") for th in table.iter("th"))
            assert "style=" not in html and "color" not in html  # colours belong to the page


def test_html_escapes_what_the_user_wrote():
    table = gl.load("sleepstudy")
    table["group"] = np.where(table["Days"] < 5, "<b>", "a&b")
    html = gl.lmer("Reaction ~ group + (1 | Subject)", table)._repr_html_()
    ET.fromstring(html)
    assert "group[T.a&amp;b]" in html or "&lt;b&gt;" in html
    assert "<b>" not in html


def test_a_generalised_model_shows_z_tests_family_and_no_residual(fits):
    laplace, quadrature = (str(fit.summary()) for fit in fits[-2:])
    assert "Integral   Laplace approximation\n" in laplace and "quadrature, 7 points\n" in quadrature
    assert "Family     binomial, logit link\n" in laplace
    assert "Fixed effects (z tests)" in laplace and "Residual " not in laplace and " df" not in laplace


def test_notes_say_what_a_reader_must_know():
    table = gl.load("sleepstudy")
    diagonal = str(gl.lmer("Reaction ~ Days + (Days || Subject)", table).summary())
    assert "depends on where" in diagonal and "Days has its zero" in " ".join(diagonal.split())
    with pytest.warns(gl.errors.SingularFitWarning):
        singular = str(gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff2")).summary())
    assert "Note: singular fit: the variance of Intercept between the levels of Batch" in singular
    table.loc[:2, "Days"] = np.nan
    table["twice"] = 2 * table["Days"]
    with pytest.warns(gl.errors.GlmmlibWarning):
        partial = str(gl.lmer("Reaction ~ Days + twice + (1 | Subject)", table).summary())
    assert "Rows       177 (3 more left out: missing values)" in partial
    assert "Left out   twice (follow from the other columns)" in partial


def test_degrees_of_freedom_on_request():
    fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    assert "Kenward-Roger degrees of freedom" in str(fit.summary("kenward-roger"))
    assert "(z tests)" in str(fit.summary("z"))
