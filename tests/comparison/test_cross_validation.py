"""Cross-validation by groups: against refits by hand and integrals, in parallel, refusals."""

import re

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import glmmlib as gl
from glmmlib.errors import ModelError
from support import reference_values as reference


@pytest.fixture(scope="module")
def sleep():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))


def test_of_a_linear_model_it_is_the_normal_density_of_a_new_group(sleep):
    data, found = gl.load("sleepstudy"), gl.cross_validate(sleep)
    for subject in ("308", "335"):
        rows = data["Subject"] == subject
        rest = gl.lmer("Reaction ~ Days + (Days | Subject)", data[~rows])
        Z = np.column_stack([np.ones(rows.sum()), data["Days"][rows]])
        S = rest.varcorr["Subject"].cov.to_numpy()
        sd = np.sqrt(np.einsum("ni,ij,nj->n", Z, S, Z) + rest.sigma**2)
        mean = Z @ rest.params.to_numpy()
        np.testing.assert_allclose(found.rows.loc[rows, "mean"], mean, rtol=1e-5)
        wanted = stats.norm.logpdf(data["Reaction"][rows], mean, sd)
        np.testing.assert_allclose(found.rows.loc[rows, "log_density"], wanted, rtol=1e-4)
        error = data["Reaction"][rows] - mean
        assert found.table.loc[subject, "rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    assert found.log_score == pytest.approx(found.rows["log_density"].mean())
    by = found.table
    assert found.log_score == pytest.approx(np.average(by["log_score"], weights=by["rows"]))
    assert found.se == pytest.approx(by["log_score"].std() / np.sqrt(18), rel=1e-6)


def test_of_counts_it_is_an_integral_over_the_new_groups_effect():
    data = reference.data("traps").assign(effort=2.0)
    formula, options = "beetles ~ shade + (1 | site)", {"family": "negbinomial", "zi": "~ 1"}
    fit = gl.glmer(formula, data, offset=np.log(data["effort"].to_numpy()), **options)
    found = gl.cross_validate(fit, n_folds=3, rng=4)
    fold = found.rows["fold"] == 2
    assert found.rows.groupby(data["site"])["fold"].nunique().eq(1).all()
    rest = gl.glmer(formula, data[~fold], offset=np.log(data["effort"][~fold].to_numpy()), **options)
    sd, p, k = (
        rest.varcorr["site"].sd.iloc[0],
        rest.auxiliary_values["zi"],
        rest.auxiliary_values["dispersion"],
    )
    for row in np.flatnonzero(fold)[:4]:
        y, eta = data["beetles"].iloc[row], rest.params @ [1, data["shade"].iloc[row]] + np.log(2.0)

        def density(b, y=y, eta=eta):
            mu = np.exp(eta + b)
            return stats.norm.pdf(b, scale=sd) * (
                p * (y == 0) + (1 - p) * stats.nbinom.pmf(y, k, k / (k + mu))
            )

        wanted = np.log(integrate.quad(density, -9 * sd, 9 * sd, epsabs=0, limit=200)[0])
        assert found.rows["log_density"].iloc[row] == pytest.approx(wanted, rel=2e-4)


def test_trials_and_crossed_factors():
    fit = gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", reference.data("cbpp"), family="binomial"
    )
    found = gl.cross_validate(fit, n_folds=3, rng=1)
    assert found.rows["error"].abs().max() < 1 and (found.rows["log_density"] < 0).all()
    crossed = gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", gl.load("Penicillin"))
    found = gl.cross_validate(crossed, "sample")
    assert (len(found.table), found.table.index.name) == (6, "sample")


def test_the_users_backend_computes_the_same(sleep):
    alone = gl.cross_validate(sleep, n_folds=3, rng=1)
    with joblib.parallel_config("threading", n_jobs=2):
        pd.testing.assert_frame_equal(gl.cross_validate(sleep, n_folds=3, rng=1).rows, alone.rows)


def test_a_difference_is_that_of_rows_with_clustered_errors(sleep):
    data = gl.load("sleepstudy")
    one, other = gl.cross_validate(sleep), gl.cross_validate(gl.lmer("Reaction ~ 1 + (1 | Subject)", data))
    found = one.difference(other)
    gain = (one.table["log_score"] - other.table["log_score"]).to_numpy()
    assert found["difference"] == pytest.approx(gain.mean())
    assert found["se"] == pytest.approx(gain.std(ddof=1) / np.sqrt(18))
    with pytest.raises(ModelError, match="same rows and folds"):
        one.difference(gl.cross_validate(sleep, n_folds=3, rng=1))
    assert "levels of Subject left out" in str(one) and "<table" in one._repr_html_()


def test_refusals(sleep):
    data = gl.load("sleepstudy").assign(one=lambda d: (d["Subject"] == "308") * 1.0)
    crossed = gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", gl.load("Penicillin"))
    residual = gl.lmer("Reaction ~ Days", data, residual="ar1(Days | Subject)")
    lost = gl.lmer("Reaction ~ one + (1 | Subject)", data)
    for ask, words in (
        (lambda: gl.cross_validate(sleep, "Subjct"), "did you mean 'Subject'"),
        (lambda: gl.cross_validate(sleep, n_folds=1, rng=1), "n_folds is a whole number from 2 to 18 levels"),
        (lambda: gl.cross_validate(sleep, n_folds=3), "random draws need a numpy Generator"),
        (lambda: gl.cross_validate(crossed), "several grouping factors"),
        (lambda: gl.cross_validate(residual), "residual="),
        (lambda: gl.cross_validate(lost), "without 308 of Subject the model cannot be fitted"),
    ):
        with pytest.raises(ModelError, match=re.escape(words)):
            ask()
