"""Laws of every fit: what must not change it, and what must agree with what.

Each takes a trial (``fuzz_models.Trial``), its fit and a generator; a broken law is an ``AssertionError``.
"""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
from fuzz_outcomes import NotHereError
from scipy.special import gammaln

import glmmlib as gl
from glmmlib.errors import GlmmlibError

DEVIANCE, ESTIMATES = 5e-5, 2e-3  # absolute; in standard errors


COUNTS = ("poisson", "negbinomial", "negbinomial1", "truncated_poisson")


def same(a, b, deviance=0.0, scale=1.0, what=""):
    """Deviance (up to a known shift), estimates and standard errors agree."""
    assert abs(a.deviance + deviance - b.deviance) < DEVIANCE * (1 + 1e-3 * abs(b.deviance)), (
        f"{what} deviance {b.deviance:.7f}, expected {a.deviance + deviance:.7f}"
    )
    ours, theirs = a.params * scale, b.params
    apart = (np.abs(ours - theirs[ours.index]) / a.bse / abs(scale)).max()
    assert not apart > ESTIMATES, f"{what} estimates {apart:.4g} SE apart"
    ratio = (b.bse[a.bse.index] / (a.bse * abs(scale))).replace([np.inf], np.nan).dropna()
    assert not (np.abs(np.log(ratio)) > 0.02).any(), f"{what} standard errors {ratio.to_dict()}"


def permuted(options, order):
    return {k: v[order] if isinstance(v, np.ndarray) else v for k, v in options.items()}


def row_order(t, fit, rng):
    order = rng.permutation(len(t.data))
    same(fit, t.fit(t.data.iloc[order], **permuted(t.options, order)))


def labels(t, fit, rng):
    names = {level: f"q{k}" for k, level in enumerate(rng.permutation(t.data["g"].unique()))}
    same(fit, t.fit(t.data.assign(g=t.data["g"].map(names), h=t.data["h"].map(lambda k: f"h {9 - k}"))))


def unused_columns(t, fit, rng):
    same(fit, t.fit(t.data.assign(**{"another column": rng.normal(size=len(t.data)), "z": None})))


def terms_in_another_order(t, fit, rng):
    left, right = t.formula.split(" ~ ")
    parts = right.replace(" + (", "\n(").split("\n")
    same(fit, t.fit(formula=f"{left} ~ {' + '.join([*parts[1:][::-1], parts[0]])}"))


def split_trials(t, fit, rng):
    """A row of trials is as good as its pieces, up to the binomial coefficients."""
    if t.family is None or t.family[0] != "cbind" or "center" in t.formula:
        raise NotHereError
    s, f = t.data["y"].to_numpy(), t.data["n"].to_numpy()
    first_s, first_f = rng.binomial(s, 0.5), rng.binomial(f, 0.5)
    rows = np.concatenate([np.arange(len(s))] * 2)
    table = t.data.iloc[rows].reset_index(drop=True)
    table["y"], table["n"] = np.concatenate([first_s, s - first_s]), np.concatenate([first_f, f - first_f])
    keep = (table["y"] + table["n"]).to_numpy() > 0
    options = {k: v[rows][keep] if isinstance(v, np.ndarray) else v for k, v in t.options.items()}
    choose = lambda s, f: np.sum(gammaln(s + f + 1) - gammaln(s + 1) - gammaln(f + 1))  # noqa: E731
    shift = 2 * (choose(s, f) - choose(table["y"], table["n"]))
    same(fit, t.fit(table[keep], **options), deviance=shift)


def swapped_outcomes(t, fit, rng):
    if t.family is None or t.family[1] not in ("logit", "probit"):
        raise NotHereError
    options = {"offset": -t.options["offset"]} if "offset" in t.options else {}
    y = t.data["y"]
    table = t.data.assign(y=1 - y) if t.family[0] == "beta" else t.data.assign(y=t.data["n"], n=y)
    same(fit, t.fit(table, **options), scale=-1.0)


def shifted_offset(t, fit, rng):
    """A constant in the offset moves the intercept."""
    if "Intercept" not in fit.params:
        raise NotHereError
    old = t.options.get("offset", np.zeros(len(t.data)))
    other = t.fit(offset=old + 0.7)
    assert abs(other.deviance - fit.deviance) < DEVIANCE * (1 + 1e-3 * abs(fit.deviance)), (
        f"deviance {other.deviance:.7f}, expected {fit.deviance:.7f}"
    )
    assert abs(other.params["Intercept"] + 0.7 - fit.params["Intercept"]) < ESTIMATES * fit.bse["Intercept"]


def units_of_x(t, fit, rng):
    """Another unit of x multiplies what x does; REML's criterion carries the unit."""
    if "I(x" in t.formula or "x" not in fit.params:
        raise NotHereError
    c = float(rng.choice([1e-4, 1e3, -2.0]))
    other = t.fit(t.data.assign(x=c * t.data["x"]))
    columns = sum("x" in name for name in fit.params.index)
    carried = 2 * columns * np.log(abs(c)) if fit.reml else 0.0
    assert abs(other.deviance - fit.deviance - carried) < 1e-4 * (1 + 1e-3 * abs(fit.deviance)), (
        f"deviance {other.deviance:.7f}, expected {fit.deviance + carried:.7f}"
    )
    assert abs(c * other.params["x"] - fit.params["x"]) < ESTIMATES * fit.bse["x"]


def units_of_y(t, fit, rng):
    c = float(rng.choice([1e-5, 1e4]))
    if t.family is None and "offset" not in t.options:
        other = t.fit(t.data.assign(y=c * t.data["y"]))
        df = fit.nobs - (len(fit.params) if fit.reml else 0)
        same(fit, other, deviance=2 * df * np.log(c), scale=c)
    elif t.family and t.family[0] == "gamma" and "Intercept" in fit.params:
        other = t.fit(t.data.assign(y=c * t.data["y"]))
        assert abs(other.deviance - fit.deviance - 2 * fit.nobs * np.log(c)) < 1e-4
        assert (
            abs(other.params["Intercept"] - np.log(c) - fit.params["Intercept"])
            < ESTIMATES * fit.bse["Intercept"]
        )
    else:
        raise NotHereError


def origin_of_y(t, fit, rng):
    if t.family is not None or "Intercept" not in fit.params:
        raise NotHereError
    other = t.fit(t.data.assign(y=t.data["y"] + 1e4))
    assert abs(other.deviance - fit.deviance) < 1e-4, (
        f"deviance {other.deviance:.7f}, expected {fit.deviance:.7f}"
    )
    assert abs(other.params["Intercept"] - 1e4 - fit.params["Intercept"]) < ESTIMATES * fit.bse["Intercept"]


def units_of_weights(t, fit, rng):
    """Of a linear model: only their ratios matter; of counts: a weight of two is a row twice."""
    if t.family is None and "weights" in t.options:
        same(fit, t.fit(weights=50.0 * t.options["weights"]))
    elif t.family and t.family[0] in COUNTS and "center" not in t.formula:
        w = rng.integers(1, 4, len(t.data))
        rows = np.repeat(np.arange(len(w)), w)
        options = {k: v[rows] for k, v in t.options.items()}
        same(t.fit(weights=w.astype(float)), t.fit(t.data.iloc[rows].reset_index(drop=True), **options))
    else:
        raise NotHereError


def refits(t, fit, rng):
    y = t.data["y"].to_numpy(float)
    same(fit, fit.refit(y), what="refit")
    Y = fit.simulate(3, rng=rng)
    many = fit.refit_many(Y)
    for k in range(3):
        try:
            one = fit.refit(Y[:, k])
        except GlmmlibError:
            assert not np.isfinite(many.deviance[k]), "refit refuses what refit_many answers"
            continue
        assert abs(one.deviance - many.deviance[k]) < 1e-4, (
            f"refit_many {many.deviance[k]:.6f}, refit {one.deviance:.6f}"
        )
        apart = (np.abs(many.params.iloc[k] - one.params) / one.bse).max()
        assert not apart > 1e-2 or getattr(one, "separation", None), f"refit_many {apart:.4g} SE from refit"


def updates(t, fit, rng):
    same(fit, fit.update("~ ."), what="update")
    if "weights" not in t.options and "offset" not in t.options:
        same(fit, fit.update("~ .", data=t.data), what="update with data")


def pickles(t, fit, rng):
    again = pickle.loads(pickle.dumps(fit))
    assert str(again.summary()) == str(fit.summary())
    assert np.array_equal(again.predict(), fit.predict())


def predictions(t, fit, rng):
    assert np.allclose(fit.predict(), fit.fittedvalues, rtol=1e-8)
    options = {k: v for k, v in t.options.items() if k == "offset"}
    again = fit.predict(t.data, **options)
    assert np.allclose(again, fit.fittedvalues, rtol=1e-6, equal_nan=True), (
        f"new rows {np.abs(again - fit.fittedvalues).max():.3g} from the fitted values"
    )
    some = rng.integers(0, len(t.data), 5)
    few = fit.predict(t.data.iloc[some], **permuted(options, some))
    assert np.allclose(few, fit.fittedvalues.iloc[some], rtol=1e-6)
    for interval in ("confidence", "prediction"):
        if interval == "prediction" and "weights" in t.options:
            continue
        table = fit.predict(interval=interval)
        assert (table["lower"] <= table["upper"]).all()
        assert t.family is None or (table["lower"] >= 0).all()


def means_and_predictions(t, fit, rng):
    """A marginal mean is the average of predictions on the grid."""
    if "f" not in t.formula.split("(")[0] or "offset" in t.options:
        raise NotHereError
    found = gl.means(fit, "f", kind="link").table["mean"]
    typical = {"x": t.data["x"].mean(), "t": t.data["t"].mean()}
    grid = pd.DataFrame({"f": list("abc")} | {k: [v] * 3 for k, v in typical.items()})
    plain = fit.predict(grid, re_form="~0", kind="link")
    assert np.allclose(found, plain, atol=1e-6 * (1 + np.abs(plain).max())), (
        f"means {found.round(4).tolist()}, predictions {plain.round(4).tolist()}"
    )


def intervals(t, fit, rng):
    table = fit.conf_int()
    assert ((table["lower"] <= fit.params) & (fit.params <= table["upper"]) | table.isna().any(axis=1)).all()


def nested_models(t, fit, rng):
    """A larger model fits no worse (by maximum likelihood), and a negative binomial no worse than a Poisson."""
    if t.family is None:
        fit = fit.with_criterion(reml=False)
    larger = fit.update("~ . + t")
    assert larger.deviance <= fit.deviance + 1e-4, f"with t {larger.deviance:.5f}, without {fit.deviance:.5f}"
    if t.family == ("poisson", "log"):
        wider = replace(t, family=("negbinomial", "log")).fit()
        assert wider.deviance <= fit.deviance + 1e-4, (
            f"negative binomial {wider.deviance:.5f}, Poisson {fit.deviance:.5f}"
        )


def criteria(t, fit, rng):
    if t.family is not None:
        raise NotHereError
    same(fit.with_criterion(not fit.reml), t.fit(reml=not fit.reml), what="with_criterion")
    assert abs(fit.objective(fit.theta) - fit.deviance) < 1e-6 * (1 + abs(fit.deviance))


def shown(t, fit, rng):
    for text in (
        repr(fit),
        str(fit.summary()),
        fit.summary()._repr_html_(),
        str(fit.varcorr),
        str(gl.report(fit)),
    ):
        assert text
    gl.tidy(fit, conf_int=True)
    gl.glance(fit)
    gl.augment(fit)
    fit.ranef(cond_sd=True, error_sd=True)
    gl.r2(fit)


def seeds(t, fit, rng):
    one, two = (fit.simulate(2, rng=np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)


LAWS = [
    row_order,
    labels,
    unused_columns,
    terms_in_another_order,
    split_trials,
    swapped_outcomes,
    shifted_offset,
    units_of_x,
    units_of_y,
    origin_of_y,
    units_of_weights,
    refits,
    updates,
    pickles,
    predictions,
    means_and_predictions,
    intervals,
    nested_models,
    criteria,
    shown,
    seeds,
]
