"""The frozen reference values are whole: each belongs to data that are there, its names match."""

import re

import formulaic
import numpy as np
import pytest

from support import reference_values as frozen

NAMES = frozen.fit_names()


def test_nothing_is_missing():
    assert len(NAMES) == 157
    assert len(frozen.fit_names(family="gaussian", REML=True)) == 42


@pytest.mark.parametrize("name", NAMES)
def test_fit_belongs_to_its_data(name):
    ref = frozen.fit(name)
    table = frozen.model_data(ref)
    assert len(table) == ref["nobs"]
    weights = frozen.weights(ref, table)
    assert weights is None or (len(weights) == len(table) and weights.min() > 0)
    for term in ref["ranef"]:
        counted = 1
        for column in re.findall(r"\w+", term["group"]):
            counted *= table[column].nunique()
        assert len(term["levels"]) <= counted


@pytest.mark.parametrize("name", [n for n in NAMES if "rankdef" not in n])
def test_coefficients_match_the_columns_of_the_design(name):
    ref = frozen.fit(name)
    right = frozen.formula(ref).split("~")[1]
    fixed = re.sub(r"\+?\s*\([^()]*(\([^()]*\)[^()]*)*\|[^()]*\)", "", right)
    fixed = re.sub(r"\+?\s*offset\((\([^()]*\)|[^()])*\)", "", fixed).strip(" +")
    columns = formulaic.model_matrix(fixed, frozen.model_data(ref)).columns
    assert sorted(frozen.positions(ref, columns)) == list(range(len(ref["fixef"]["names"])))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_agree_among_themselves(name):
    ref = frozen.fit(name)
    assert ref["minus2logLik"] == pytest.approx(-2 * ref["logLik"])
    np.testing.assert_allclose(np.sqrt(np.diag(ref["vcov"])), ref["fixef"]["se"], rtol=1e-8)
    sds = [sd for term in ref["VarCorr"] for sd in term["sd"]]
    assert (min(sds) == pytest.approx(0, abs=1e-6)) <= ref["isSingular"]


def test_unknown_names_are_refused():
    with pytest.raises(FileNotFoundError, match="no reference fit named 'sleep'"):
        frozen.fit("sleep")
    with pytest.raises(FileNotFoundError, match="no data set 'sleep'"):
        frozen.data("sleep")
