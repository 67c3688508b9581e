"""Cluster-robust tests: an implementation in dense matrices, closed forms of balanced designs, refusals."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import glmmlib as gl
from glmmlib.errors import DataError, ModelError
from glmmlib.likelihood.cluster_scores import cluster_deviances
from support import reference_values as reference


def unbalanced():
    rng = np.random.default_rng(21)
    sizes = rng.integers(2, 9, 14)
    g = np.repeat(np.arange(14), sizes)
    n = len(g)
    data = pd.DataFrame({"g": g, "h": [f"{a}{b}" for a, b in zip(g, rng.integers(0, 2, n), strict=True)]})
    data["arm"], data["x"], data["w"] = g < 4, rng.normal(size=n), rng.uniform(0.5, 2.0, n)
    data["t"] = data.groupby("g").cumcount()
    data["o"] = rng.normal(size=n)
    data["y"] = 0.7 * rng.normal(size=28)[pd.factorize(data["h"])[0]] + data["x"] * (
        1 + 0.5 * rng.normal(size=14)[g]
    )
    data["y"] += rng.normal(size=14)[g] + rng.normal(size=n) * (1 + data["arm"])
    return data


FITS = {
    "slopes": lambda d: gl.lmer("y ~ x + arm + (x | g)", d),
    "weights, offset": lambda d: gl.lmer("y ~ x + arm + (1 | g)", d, weights="w", offset="o", reml=False),
    "nested": lambda d: gl.lmer("y ~ x * arm + (1 | g / h)", d),
    "residuals": lambda d: gl.lmer("y ~ x + arm", d, residual="ar1(t | g)"),
    "SDs that differ": lambda d: gl.lmer("y ~ x + arm + (1 | g)", d, sigma="~ arm"),
    "a dummy for each cluster": lambda d: gl.lmer("y ~ x + C(g) + (1 | h)", d),
}


# --- the formulas of Pustejovsky and Tipton, in n by n matrices -------------------------------------------


def root(A, power):
    values, vectors = np.linalg.eigh(A)
    told = values > 1e-10 * values[-1]
    return (vectors * np.where(told, np.where(told, values, 1.0) ** power, 0.0)) @ vectors.T


def dense(fit, codes, kind):
    """Return the robust covariance and, for a contrast, the vectors p_j (n,) of its quadratic form."""
    X, n = fit.X, fit.nobs
    Phi = fit.scale**2 * (fit.Z @ fit.Lambda @ fit.Lambda.T @ fit.Z.T).toarray()
    Phi = Phi + fit.solution.error_covariance(np.arange(n))
    W = np.linalg.inv(Phi)
    M = np.linalg.inv(X.T @ W @ X)
    R = np.eye(n) - X @ M @ X.T @ W
    e = R @ (fit.design.y - (0 if fit.design.offset is None else fit.design.offset))
    wanted = R @ Phi @ R.T
    meat, maps = 0.0, []
    for j in np.unique(codes):
        here = codes == j
        P, Wj = Phi[np.ix_(here, here)], W[np.ix_(here, here)]
        D = root(P, 0.5)  # any root will do
        A = D @ root(D @ wanted[np.ix_(here, here)] @ D, -0.5) @ D if kind == "CR2" else np.eye(len(P))
        score = X[here].T @ Wj @ A
        meat = meat + score @ np.outer(e[here], e[here]) @ score.T
        maps.append(M @ score @ R[here])
    return M @ meat @ M, maps, Phi


def eta(C, maps, Phi):
    """Return the degrees of freedom of a Wishart matrix, from all covariances one by one."""
    T = [C @ m for m in maps]
    Omega = sum(t @ Phi @ t.T for t in T)
    T = [root(Omega, -0.5) @ t for t in T]
    q, total = len(C), 0.0
    for a in T:
        for b in T:
            P = a @ Phi @ b.T
            total += (np.outer(np.diag(P), np.diag(P)) + P * P.T).sum()
    return q * (q + 1) / total


@pytest.mark.parametrize("kind", ["CR0", "CR2"])
@pytest.mark.parametrize("name", FITS)
def test_covariance_and_degrees_of_freedom_are_those_of_dense_matrices(name, kind):
    data = unbalanced()
    fit = FITS[name](data)
    codes = data["g"].to_numpy()
    found = gl.robust(fit, "g" if name.startswith("a dummy") else None, kind=kind)
    cov, maps, Phi = dense(fit, codes, kind)
    np.testing.assert_allclose(found.cov, cov, rtol=1e-6, atol=1e-9 * np.abs(cov).max())
    for k in range(3):
        C = np.eye(len(cov))[[k]]
        assert found.table["df"].iloc[k] == pytest.approx(eta(C, maps, Phi), rel=1e-6)
    C = np.eye(len(cov))[[1, 2]]
    if (
        name.startswith("a dummy") and kind == "CR0"
    ):  # what a cluster's own mean is rests on the slope of x alone
        with pytest.raises(ModelError, match="tell nothing of some"):
            found.wald_test(C)
        return
    test, q = found.wald_test(C), 2
    df = eta(C, maps, Phi) - q + 1
    b = C @ fit.params.to_numpy()
    F = df / ((df + q - 1) * q) * b @ np.linalg.solve(C @ cov @ C.T, b)
    assert (test.kind, test.df) == ("F", (2, pytest.approx(df, rel=1e-6)))
    assert test.statistic == pytest.approx(F, rel=1e-6)
    assert test.p == pytest.approx(stats.f.sf(F, 2, df), rel=1e-5)


@pytest.mark.parametrize("name", ["residuals", "SDs that differ"])
def test_covariances_of_residuals_are_those_of_the_noise_that_is_drawn(name):
    fit = FITS[name](unbalanced())
    drawn = fit.solution.correlated(np.eye(fit.nobs))
    rows = np.r_[7:20, 3]
    np.testing.assert_allclose(
        fit.solution.error_covariance(rows), (drawn.T @ drawn)[np.ix_(rows, rows)], rtol=1e-10, atol=1e-14
    )


# --- closed forms -------------------------------------------------------------------------------


def test_in_a_balanced_design_it_is_the_spread_of_each_groups_own_slope():
    """Whatever the model: 18 slopes, their SD over the root of 18, and 17 degrees of freedom."""
    sleep = gl.load("sleepstudy")
    slopes = sleep.groupby("Subject")[["Days", "Reaction"]].apply(
        lambda d: np.polyfit(d["Days"], d["Reaction"], 1)[0]
    )
    for formula in ("Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (Days | Subject)"):
        row = gl.robust(gl.lmer(formula, sleep)).table.loc["Days"]
        assert row["se"] == pytest.approx(slopes.std() / np.sqrt(18), rel=1e-6)
        assert row["df"] == pytest.approx(17, rel=1e-6)
        assert row["p"] == pytest.approx(stats.ttest_1samp(slopes, 0).pvalue, rel=1e-4)
        low, high = stats.t.interval(0.95, 17, slopes.mean(), slopes.std() / np.sqrt(18))
        np.testing.assert_allclose(row[["lower", "upper"]], [low, high], rtol=1e-6)


def test_a_difference_between_arms_is_that_of_welch():
    """Clusters of one size in two arms: CR2 and its degrees of freedom are Welch's test of cluster means."""
    rng = np.random.default_rng(2)
    arm = np.repeat(np.r_[np.zeros(5), np.ones(9)], 6)
    data = pd.DataFrame({"g": np.repeat(np.arange(14), 6), "arm": arm})
    data["y"] = rng.normal(size=14)[data["g"]] * (1 + 2 * arm) + rng.normal(size=84)
    row = gl.robust(gl.lmer("y ~ arm + (1 | g)", data)).table.loc["arm"]
    means = [d.groupby("g")["y"].mean() for _, d in data.groupby("arm")]
    welch = stats.ttest_ind(means[1], means[0], equal_var=False)
    assert row["statistic"] == pytest.approx(welch.statistic, rel=1e-6)
    equal = (1 / 5 + 1 / 9) ** 2 / (1 / 5**2 / 4 + 1 / 9**2 / 8)  # Welch's df where variances are equal
    assert row["df"] == pytest.approx(equal, rel=1e-6)


# --- clusters, statements, refusals ----------------------------------------------------------------


def test_clusters_are_named_in_several_ways_and_the_outermost_is_the_default():
    pastes = gl.load("Pastes").assign(x=lambda d: np.arange(len(d)) % 3)
    fit = gl.lmer("strength ~ x + (1 | batch / cask)", pastes)
    found = gl.robust(fit)
    assert (found.cluster, found.n_clusters) == ("batch", 10)
    for cluster in ("batch", pastes["batch"], pastes["batch"].astype(str).to_numpy(), [*pastes["batch"]]):
        pd.testing.assert_frame_equal(gl.robust(fit, cluster).table, found.table)
    with pytest.raises(ModelError, match="go across the clusters"):
        gl.robust(fit, "batch:cask")


# --- generalised models -------------------------------------------------------------------------


def generalised(name):
    traps = reference.data("traps")
    if name == "binomial":
        formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        return gl.glmer(formula, reference.data("cbpp"), family="binomial"), None
    if name == "zeros":
        return gl.glmer("beetles ~ shade + (1 | site)", traps, family="negbinomial", zi="~ shade"), "site"
    region = (pd.factorize(traps["site"], sort=True)[0] + 1) % 10
    traps["place"] = [f"{r} {k % 4}" for r, k in zip(region, range(1, len(traps) + 1), strict=True)]
    return gl.glmer("beetles ~ shade + (1 | site) + (1 | place)", traps, family="poisson"), region


@pytest.mark.parametrize("name", ["binomial", "zeros", "crossed_within"])
def test_covariance_from_scores_is_that_of_glmmtmbs_gradients(name):
    fit, cluster = generalised(name)
    found, wanted = gl.robust(fit, cluster), np.array(reference.extra("robust")[name]["cov"])
    scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    np.testing.assert_allclose(found.cov / scale, wanted / scale, atol=1e-5)
    test = found.wald_test(np.eye(len(wanted))[1:])
    b = fit.params.to_numpy()[1:]
    chi2 = b @ np.linalg.solve(wanted[1:, 1:], b)
    one = len(b) == 1
    assert test.kind == ("z" if one else "chi2")
    assert (test.statistic**2 if one else test.statistic) == pytest.approx(chi2, rel=1e-4)
    assert test.p == pytest.approx(stats.chi2.sf(chi2, len(b)), rel=1e-2)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (1 | g / h)", "y ~ x + (x | g)"])
def test_the_deviance_is_the_sum_of_the_clusters_with_quadrature_too(formula):
    data = unbalanced().assign(y=lambda d: (d["y"] > 0).astype(int))
    fit = gl.glmer(formula, data, family="binomial", n_agq=5)
    problem = fit.solution.problem.precise(fit.solution.mode.u)
    codes = data["g"].to_numpy()
    parts = cluster_deviances(problem, fit.solution.parameters, codes)
    assert parts.sum() == pytest.approx(fit.deviance, abs=1e-7)
    turned = problem.with_response(data["y"].where(data["g"] != 3, 1 - data["y"]).to_numpy())
    other = cluster_deviances(turned, fit.solution.parameters, codes)
    assert parts[3] != pytest.approx(other[3])
    np.testing.assert_allclose(np.delete(parts, 3), np.delete(other, 3), atol=1e-7)


def test_too_many_hypotheses_for_the_clusters_are_refused():
    data = unbalanced().assign(y=lambda d: (d["y"] > 0).astype(int), big=lambda d: d["g"] // 5)
    fit = gl.glmer("y ~ x + w + o + (1 | g)", data, family="binomial")
    assert gl.robust(fit, "big").wald_test("x").kind == "z"
    with pytest.raises(ModelError, match="3 clusters are too few"):
        gl.robust(fit, "big").wald_test("Intercept; x; w; o")


def test_it_says_what_it_rests_on():
    found = gl.robust(gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy")), level=0.9)
    text = re.sub(r"\s+", " ", str(found))
    assert "CR2 with 18 clusters (Subject), Satterthwaite degrees of freedom" in text and "90% from" in text
    assert "cluster-robust, CR2" in str(found.wald_test("Days = 5")) and "<table" in found._repr_html_()
    counts = gl.robust(generalised("binomial")[0])
    assert "CR0 with 15 clusters (herd), z tests" in str(counts) and " df " not in str(counts)
    assert "Wald test (cluster-robust, CR0)" in str(counts.wald_test("period[T.2]"))


def test_refusals():
    sleep = gl.load("sleepstudy")
    fit = gl.lmer("Reaction ~ Days + (1 | Subject)", sleep)
    crossed = gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", gl.load("Penicillin"))
    counts = gl.glmer("TICKS ~ YEAR + (1 | BROOD)", gl.load("grouseticks"), family="poisson")
    curve = gl.lmer("Reaction ~ s(Days, k=5) + (1 | Subject)", sleep)
    for ask, error, words in (
        (lambda: gl.robust(fit, kind="CR3"), ModelError, "kind is 'CR0' or 'CR2'"),
        (lambda: gl.robust(fit, level=95), ModelError, "level is a probability"),
        (lambda: gl.robust(fit, "Subjct"), DataError, "did you mean 'Subject'"),
        (lambda: gl.robust(fit, np.ones(3)), DataError, "one label for each of the 180 rows"),
        (lambda: gl.robust(fit, 3), DataError, "one label for each of the 180 rows"),
        (lambda: gl.robust(fit, np.zeros(180)), DataError, "all rows are one cluster"),
        (lambda: gl.robust(fit, np.r_[np.nan, np.ones(179)]), DataError, "missing in 1 rows"),
        (lambda: gl.robust(fit, "Days"), ModelError, "go across the clusters (Days)"),
        (lambda: gl.robust(crossed), ModelError, "no grouping factor"),
        (lambda: gl.robust(counts, kind="CR2"), ModelError, "CR2 adjusts the residuals of linear models"),
        (lambda: gl.robust(curve), ModelError, "model with curves"),
        (lambda: gl.robust(fit).wald_test(["Days", "2*Days = 3"]), ModelError, "linearly dependent"),
    ):
        with pytest.raises(error, match=re.escape(words)):
            ask()


def test_few_clusters_tell_little():
    data = reference.data("ergoStool").query("Subject in ['1', '2', '3']").reset_index(drop=True)
    data["Subject"] = data["Subject"].astype(str)
    fit = gl.lmer("effort ~ Type + (1 | Subject)", data)
    with pytest.raises(ModelError, match="the clusters"):
        gl.robust(fit).wald_test("Type")
