"""Rows of ``cbind(0, 0)`` tell nothing: the fit is that without them, and says how many there were."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import DataError

FORMULA = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def with_empty_rows():
    """Two empty rows of known herds, one of a herd and a period that no other row has."""
    cows = gl.load("cbpp")
    cows["size"] = cows["size"].astype(float)
    text = cows.assign(herd=cows["herd"].astype(str), period=cows["period"].astype(str))
    more = pd.DataFrame({"herd": ["1", "2", "99"], "period": ["1", "4", "7"], "incidence": 0, "size": 0.0})
    return text, pd.concat([more, text], ignore_index=True)


@pytest.mark.parametrize("term", ["", " + offset(np.log(size + 1))", " + (0 + z | herd)"])
def test_the_fit_is_that_of_the_other_rows(term):
    formula = FORMULA + term
    rows, more = (d.assign(z=np.arange(len(d))[::-1] % 5 - 2.0) for d in with_empty_rows())
    fits = [gl.glmer(formula, d, family="binomial") for d in (rows, more)]
    assert fits[1].llf == pytest.approx(fits[0].llf, abs=1e-8)
    np.testing.assert_allclose(fits[1].bse, fits[0].bse, rtol=1e-6)
    assert fits[1].nobs == len(rows) and fits[1].design.n_missing == 3
    assert "3 more left out: missing values or no trials" in str(fits[1].summary())
    assert "with missing values or no trials were left out" in " ".join(str(gl.report(fits[1])).split())


def test_arguments_keep_to_their_rows():
    rows, more = with_empty_rows()
    offset = np.linspace(-0.5, 0.5, len(rows))
    long = np.append([9.0, 9.0, 9.0], offset)
    for given in (long, pd.Series(long, more.index), "o"):
        fit = gl.glmer(FORMULA, more.assign(o=long), family="binomial", offset=given, na_action="raise")
        assert fit.llf == pytest.approx(gl.glmer(FORMULA, rows, "binomial", offset=offset).llf, abs=1e-8)


def test_with_missing_values_too():
    rows, more = with_empty_rows()
    more.loc[5, "incidence"] = np.nan
    fit = gl.glmer(FORMULA, more, "binomial")
    assert fit.design.n_missing == 4
    assert fit.llf == pytest.approx(gl.glmer(FORMULA, rows.drop(index=2), "binomial").llf, abs=1e-8)


def test_no_trials_at_all():
    _, more = with_empty_rows()
    with pytest.raises(DataError, match="no trials in any row"):
        gl.glmer(FORMULA, more.iloc[:3], "binomial")
