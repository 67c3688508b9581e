"""Pictures of variances and of the likelihood draw the numbers of the fit."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


@pytest.fixture(scope="module")
def slopes():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))


@pytest.fixture(scope="module")
def batches():
    return gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff"), reml=False)


# --- along a covariate ------------------------------------------------------------------------------------


def test_icc_curve_over_the_range_of_the_data(ax, slopes):
    gl.plots.icc_curve(slopes, ax=ax)
    x, y = ax.lines[0].get_data()
    assert (x[0], x[-1], ax.get_xlabel(), ax.get_ylim()) == (0.0, 9.0, "Days", (0.0, 1.0))
    cov = slopes.varcorr["Subject"].cov.to_numpy()
    between = cov[0, 0] + 2 * x * cov[0, 1] + x**2 * cov[1, 1]
    np.testing.assert_allclose(y, between / (between + slopes.sigma**2))
    assert not ax.collections


def test_icc_band_is_that_of_the_bootstrap(ax, slopes):
    x = [0, 3, 9]
    gl.plots.icc_curve(slopes, x=x, rng=np.random.default_rng(1), n=100, level=0.9, ax=ax)
    expected = gl.icc_conf_int(slopes, at=x, level=0.9, n=100, rng=np.random.default_rng(1))
    vertices = ax.collections[0].get_paths()[0].vertices
    for end in ("lower", "upper"):
        for at, value in zip(x, expected[end], strict=True):
            assert np.abs(vertices - [at, value]).sum(axis=1).min() < 1e-12


def test_icc_curve_of_a_generalised_model(ax):
    frogs = gl.load("frogs")
    column = next(c for c in frogs if frogs[c].dtype == float)
    centred = frogs.assign(x=(frogs[column] - frogs[column].mean()) / frogs[column].std())
    fit = gl.glmer("presence ~ x + (x || region)", centred, family="binomial")
    gl.plots.icc_curve(fit, x=[-1.0, 1.0], ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), gl.icc(fit, at=[-1.0, 1.0]))
    gl.plots.variance_function(fit, x=[-1.0, 1.0], ax=ax)
    assert len(ax.lines) == 2 and ax.get_ylabel() == "variance of the linear predictor"


def test_variance_function_adds_up(ax, slopes):
    gl.plots.variance_function(slopes, x=np.arange(10), ax=ax)
    between, residual, total = (line.get_ydata() for line in ax.lines)
    Z = np.column_stack([np.ones(10), np.arange(10)])
    np.testing.assert_allclose(between, np.einsum("na,ab,nb->n", Z, slopes.varcorr["Subject"].cov, Z))
    np.testing.assert_allclose(residual, slopes.sigma**2)
    np.testing.assert_allclose(total, between + residual)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "between groups",
        "residual",
        "total",
    ]
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 3


def test_several_covariates_need_a_place(ax):
    table = gl.load("sleepstudy").assign(late=lambda t: (t["Days"] > 4).astype(float))
    fit = gl.lmer("Reaction ~ Days + late + (Days + late || Subject)", table)
    with pytest.raises(ModelError, match="give values of one and a value of each other"):
        gl.plots.icc_curve(fit, ax=ax)
    gl.plots.icc_curve(fit, x={"Days": [5, 9], "late": 1.0}, ax=ax)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), gl.icc(fit, at={"Days": [5, 9], "late": 1.0}))


def test_without_a_random_slope_there_is_no_curve(ax, batches):
    for picture in (gl.plots.icc_curve, gl.plots.variance_function):
        with pytest.raises(ModelError, match="has no random slope"):
            picture(batches, ax=ax)


# --- likelihood surface -----------------------------------------------------------------------------------


def contours(ax):
    """The vertices of the contour lines, by level."""
    lines = ax.collections[1]
    return dict(zip(lines.levels, (path.vertices for path in lines.get_paths()), strict=True))


def dense_deviance(fit, theta, sigma):
    """-2 log L of a one-way model with beta profiled out, from the n by n covariance."""
    Z = fit.Z.toarray()
    V = sigma**2 * (theta**2 * Z @ Z.T + np.eye(fit.nobs))
    inverse = np.linalg.inv(V)
    X, y = fit.X, fit.design.y
    beta = np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ y)
    r = y - X @ beta
    value = fit.nobs * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + r @ inverse @ r
    return (
        value
        if not fit.reml
        else value + np.linalg.slogdet(X.T @ inverse @ X)[1] - X.shape[1] * np.log(2 * np.pi)
    )


@pytest.mark.parametrize("reml", [False, True])
def test_contours_over_theta_and_sigma(ax, batches, reml):
    fit = batches.with_criterion(reml)
    gl.plots.likelihood_surface(fit, ax=ax)
    assert ax.get_xlabel() == "θ of Batch.Intercept"
    for level, points in contours(ax).items():
        if 2 <= level <= 5:
            rise = [dense_deviance(fit, *point) - fit.deviance for point in points]
            np.testing.assert_allclose(rise, level, rtol=0.05)
    star = ax.lines[-1].get_xydata()[0]
    np.testing.assert_allclose(star, [fit.theta.iloc[0], fit.sigma])


def test_path_runs_from_the_start_along_the_ridge_to_the_minimum(ax, batches):
    gl.plots.likelihood_surface(batches, start=[3.0], ax=ax)
    ridge, way, first, _ = ax.lines
    x, y = way.get_data()
    assert x[0] == pytest.approx(3.0) and first.get_xdata()[0] == x[0]
    np.testing.assert_allclose([x[-1], y[-1]], [batches.theta.iloc[0], batches.sigma], rtol=1e-4)
    np.testing.assert_allclose(y, np.interp(x, *ridge.get_data()), rtol=1e-3)
    values = [batches.objective([theta]) for theta in x]
    assert (np.diff(values) <= 1e-9).all()
    assert ax.get_xlim()[1] >= 3.0


@pytest.mark.parametrize(
    "formula, data",
    [
        ("Reaction ~ Days + (Days || Subject)", "sleepstudy"),
        ("diameter ~ 1 + (1 | plate) + (1 | sample)", "Penicillin"),
    ],
)
def test_two_thetas(ax, formula, data):
    fit = gl.lmer(formula, gl.load(data))
    gl.plots.likelihood_surface(fit, ax=ax)
    assert [ax.get_xlabel(), ax.get_ylabel()] == [f"θ of {name}" for name in fit.theta.index]
    points = contours(ax)[5.0]
    np.testing.assert_allclose([fit.objective(p) - fit.deviance for p in points[::10]], 5.0, rtol=0.1)
    way = ax.lines[0].get_xydata()
    np.testing.assert_allclose(way[-1], fit.theta, rtol=1e-3)


def test_surface_at_the_boundary_and_without_a_path(ax):
    with pytest.warns(gl.errors.SingularFitWarning):
        fit = gl.lmer("Yield ~ 1 + (1 | Batch)", gl.load("Dyestuff2"))
    gl.plots.likelihood_surface(fit, path=False, x=np.linspace(0, 1, 11), y=np.linspace(3, 5, 11), ax=ax)
    assert [line.get_label() for line in ax.lines] == ["best σ for each θ", "minimum"]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0.0, 1.0), (3.0, 5.0))


def test_surface_refuses(ax, slopes, batches):
    with pytest.raises(ModelError, match=r"theta has 3 parameters .* leave correlations out with \|\|"):
        gl.plots.likelihood_surface(slopes, ax=ax)
    with pytest.raises(ModelError, match="start is a list of 1, one value for each of Batch.Intercept"):
        gl.plots.likelihood_surface(batches, start=[1.0, 2.0], ax=ax)
    fit = gl.glmer("presence ~ 1 + (1 | region)", gl.load("frogs"), family="binomial")
    with pytest.raises(ModelError, match="drawn for linear mixed models"):
        gl.plots.likelihood_surface(fit, ax=ax)
