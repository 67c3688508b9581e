"""Design a study: simulate it many times and see what it would find."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.display.arguments import checked, is_list
from glmmlib.display.words import did_you_mean, listed
from glmmlib.errors import GlmmlibWarning, ModelError
from glmmlib.families.links import Link
from glmmlib.families.registry import any_family
from glmmlib.fitted import FittedModel
from glmmlib.formula.parser import parse_formula
from glmmlib.models.glmer import glmer
from glmmlib.models.lmer import lmer
from glmmlib.prediction.simulate import require_generator, simulate
from glmmlib.replicates.parallel import in_parallel
from glmmlib.types import FloatArray

N_DESIGNS = 20  # draws of the covariates for each size of the study
MOST = 1_000_000  # groups, or rows of one


def within(rng: np.random.Generator, data: pd.DataFrame) -> pd.Series:
    """Standard normal, one value a row: varies within groups."""
    return rng.standard_normal(len(data))


def between(rng: np.random.Generator, data: pd.DataFrame) -> FloatArray:
    """Standard normal, one value a group."""
    codes = data.iloc[:, 0].to_numpy()
    return rng.standard_normal(codes.max() + 1)[codes]


def treatment(rng: np.random.Generator, data: pd.DataFrame) -> FloatArray:
    """0 or 1, one value a group, half of the groups each, assigned at random."""
    codes = data.iloc[:, 0].to_numpy()
    return rng.permutation(np.arange(codes.max() + 1) % 2)[codes].astype(float)


def occasion(rng: np.random.Generator, data: pd.DataFrame) -> FloatArray:
    """0, 1, 2, ... in each group: the time of repeated measurements."""
    return data.groupby(data.columns[0]).cumcount().to_numpy(dtype=float)


KINDS = {"within": within, "between": between, "treatment": treatment, "occasion": occasion}


@dataclass(frozen=True, eq=False)
class Study:
    """What all sizes of a planned study share: model, truth and test."""

    formula: str
    group: str
    truth: dict
    family: str
    link: str | None
    covariates: dict
    test: str
    alpha: float
    ddf: str | None
    functions: dict | None

    def data(self, n_groups: int, group_size: int, rng: np.random.Generator) -> pd.DataFrame:
        """Draw the covariates of one study."""
        data = pd.DataFrame({self.group: np.repeat(np.arange(n_groups), group_size)})
        for name, draw in self.covariates.items():
            data[name] = draw(rng, data)
        return data

    def fit(self, data: pd.DataFrame, y: FloatArray) -> FittedModel:
        """Fit the model to one response, so that it can be refitted to many."""
        data, formula = data.assign(response=y), f"response {self.formula}"
        if any_family(self.family, self.link).is_linear:
            return lmer(formula, data, functions=self.functions)
        zi = None if self.truth["zi"] is None else "~ 1"
        return glmer(formula, data, self.family, self.link, functions=self.functions, zi=zi)

    def draw(self, data: pd.DataFrame, n: int, rng: np.random.Generator, effect: bool) -> FloatArray:
        """Draw n responses; without the effect, the tested coefficient is zero."""
        truth = self.truth if effect else {**self.truth, "fixef": {**self.truth["fixef"], self.test: 0.0}}
        options: dict[str, Any] = {"family": self.family, "link": self.link, "functions": self.functions}
        return simulate(self.formula, data, n=n, rng=rng, **options, **truth)


@checked
def power(
    formula: str,
    *,
    groups: int | Sequence[int],
    group_sizes: int | Sequence[int],
    fixef: Mapping[str, float],
    test: str,
    sd: Mapping[str, Any] | None = None,
    corr: Mapping[str, Any] | None = None,
    sigma: float | None = None,
    family: str = "gaussian",
    link: str | Link | None = None,
    dispersion: float | None = None,
    zi: float | None = None,
    covariates: Mapping[str, str | Callable[..., Any]] | None = None,
    n: int = 1000,
    alpha: float = 0.05,
    ddf: str | None = None,
    rng: np.random.Generator | int | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> pd.DataFrame:
    """Simulate studies of several sizes: precision, power and Type I error of one test.

    For each number of groups and each group size, responses are drawn from the given parameters and fitted by
    the given model; then again with the tested coefficient set to zero. Covariates are drawn anew 20 times
    for each size.

    Parameters
    ----------
    formula : str
        With one grouping factor, such as ``"~ x + (x | site)"``; the left side is not read.
    groups, group_sizes : int or sequence of int
        The grid.
    fixef : dict
        Fixed effects by coefficient name.
    test : str
        The coefficient that is tested against zero, two-sided.
    sd, corr, sigma, family, link, dispersion, zi
        The other parameters, as for :func:`simulate`. With a probability of structural zeros, ``zi=0.3``, the
        model fitted has one too, ``zi="~ 1"``; such fits are refitted one by one, which takes time.
    covariates : dict
        For each covariate ``"within"`` (standard normal, row by row), ``"between"`` (standard normal, group
        by group), ``"treatment"`` (0 or 1, half of the groups each), ``"occasion"`` (0, 1, 2, ... in each
        group), or a function ``f(rng, data)`` of a Generator and the DataFrame so far, whose first column
        numbers the groups.
    n : int
        Simulated responses for each size, with the effect; as many without it.
    alpha : float
        Level of the test.
    ddf : {"satterthwaite", "z"}, optional
        As for :meth:`~glmmlib.replicates.refits.Refits.pvalues`.
    rng : numpy.random.Generator
        The source of randomness, always to be given.
    functions : dict of str to callable, optional
        As for :func:`lmer`.

    Returns
    -------
    DataFrame
        One row for each size: ``groups``, ``group_size``, ``nobs``; ``mean`` and ``sd`` of the estimates
        (their sd is the precision); ``se``, the mean standard error; ``power`` and ``type_one`` (share of p <
        alpha with and without the effect) with their Monte Carlo standard errors ``power_error`` and
        ``type_one_error``; ``singular``, the share of singular fits.

    Raises
    ------
    ModelError, DataError, FormulaError
        For parameters or covariates that are missing, unknown or impossible, by name.

    Notes
    -----
    Each size and each draw of covariates is one task for joblib, with a seed spawned beforehand: in
    ``with joblib.parallel_config("loky", n_jobs=4)`` (or ``"dask"``) they are shared out, with the same
    results.

    Examples
    --------
    How many groups does an effect of 0.5 between groups need?

    >>> import numpy as np
    >>> import glmmlib as gl
    >>> table = gl.power("~ dose + (1 | site)", groups=[10, 40], group_sizes=5,
    ...                  fixef={"Intercept": 0, "dose": 0.5},
    ...                  sd={"site": 0.8}, sigma=1, covariates={"dose": "between"}, test="dose", n=400,
    ...                  rng=np.random.default_rng(1))
    >>> table.set_index("groups")["power"].round(1).to_dict()
    {10: 0.3, 40: 0.9}
    """
    rng = require_generator(rng)
    study = _study(
        formula, fixef, test, sd, corr, sigma, family, link, dispersion, zi, covariates, alpha, ddf, functions
    )
    cells = [(J, m) for J in _sizes(groups, "groups", 2) for m in _sizes(group_sizes, "group_sizes", 1)]
    if not isinstance(n, int | np.integer) or n < N_DESIGNS:
        raise ModelError(f"n is the number of simulated responses, {N_DESIGNS} or more, not {n!r}")
    each = -(-n // N_DESIGNS)
    try:
        seeds = rng.spawn(len(cells) * N_DESIGNS)
    except TypeError:  # of an old RandomState
        raise ModelError(
            "each size of study has random draws of its own, which this generator cannot share out: pass "
            "rng=np.random.default_rng(1) or rng=1"
        ) from None
    tasks = [
        (study, J, m, each, seeds[N_DESIGNS * i + k])
        for i, (J, m) in enumerate(cells)
        for k in range(N_DESIGNS)
    ]
    with _quiet():
        results = in_parallel(simulated_design, tasks, "power")
    rows = [_row(J, m, results[N_DESIGNS * i : N_DESIGNS * (i + 1)]) for i, (J, m) in enumerate(cells)]
    return pd.DataFrame(rows)


def simulated_design(
    study: Study, n_groups: int, group_size: int, n: int, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Draw covariates once and n responses with and without the effect; returns what the refits say."""
    with _quiet():
        data = study.data(n_groups, group_size, rng)
        Y, Y0 = (study.draw(data, n, rng, effect) for effect in (True, False))
        fit = study.fit(data, Y[:, 0])
        if study.test not in fit.params.index:
            raise ModelError(
                f"the coefficient {study.test!r} cannot be estimated in a study of {n_groups} groups of "
                f"{group_size}"
            )
        many = fit.refit_many(np.hstack([Y, Y0]))
        rejected = many.pvalues(study.ddf)[study.test].to_numpy() < study.alpha
    return {
        "estimates": many.params[study.test].to_numpy()[:n],
        "se": many.bse[study.test].to_numpy()[:n],
        "rejected": rejected[:n],
        "rejected_0": rejected[n:],
        "singular": many.is_singular[:n],
    }


def _row(J, m, designs):
    """Summarise one size.  Designs are independent, replicates of one design share its covariates."""

    def mean(key: str) -> float:
        return float(np.mean([d[key] for d in designs]))

    def error(key: str) -> float:
        return float(np.std([d[key].mean() for d in designs], ddof=1) / np.sqrt(len(designs)))

    return {
        "groups": J,
        "group_size": m,
        "nobs": J * m,
        "mean": mean("estimates"),
        "sd": float(np.std([d["estimates"] for d in designs], ddof=1)),
        "se": mean("se"),
        "power": mean("rejected"),
        "power_error": error("rejected"),
        "type_one": mean("rejected_0"),
        "type_one_error": error("rejected_0"),
        "singular": mean("singular"),
    }


@contextmanager
def _quiet() -> Iterator[Any]:
    """Silence warnings about single simulated data sets; only a main thread may change what others see."""
    if current_thread() is not main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        yield


# --- what was asked for -----------------------------------------------------------------------------


def _study(
    formula, fixef, test, sd, corr, sigma, family, link, dispersion, zi, covariates, alpha, ddf, functions
):
    if not isinstance(formula, str) or "~" not in formula:
        raise ModelError(f"the formula of a study has a ~, such as '~ x + (1 | site)', not {formula!r}")
    right = "~" + formula.split("~", 1)[1]
    names = list(dict.fromkeys(term.group for term in parse_formula(f"response {right}").random))
    if len(names) != 1 or ":" in names[0]:
        raise ModelError(
            f"power needs a formula with one grouping factor, not {len(names)} ({listed(names) or 'none'}): "
            "for other designs"
            " draw responses with gl.simulate and fit them with refit_many"
        )
    if not isinstance(fixef, Mapping) or test not in fixef:
        known = list(fixef) if isinstance(fixef, Mapping) else []
        raise ModelError(
            f"test names the coefficient {test!r}, which fixef "
            f"lacks{did_you_mean(test, known) if known else ''}"
        )
    if not 0.0 < alpha < 1.0:
        raise ModelError(f"alpha is a probability between 0 and 1, such as 0.05, not {alpha!r}")
    if any_family(family, link).support.is_ordered:
        raise ModelError(
            "gl.power does not plan ordinal responses, which need thresholds: draw them with "
            "gl.simulate(..., thresholds=[...]) and fit them with gl.glmer"
        )
    truth = {"fixef": dict(fixef), "sd": sd, "corr": corr, "sigma": sigma, "dispersion": dispersion, "zi": zi}
    if covariates is not None and not isinstance(covariates, Mapping):
        raise ModelError(f"covariates is a dict such as {{'x': 'within'}}, not {covariates!r}")
    drawn = {name: _covariate(name, kind) for name, kind in (covariates or {}).items()}
    return Study(right, names[0], truth, family, link, drawn, test, alpha, ddf, functions)


def _covariate(name: str, kind: str) -> Callable[..., Any]:
    if callable(kind):
        return kind
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(
            f"covariates[{name!r}] is one of {', '.join(map(repr, KINDS))} or a function f(rng, data), not "
            f"{kind!r}"
        )
    return KINDS[kind]


def _sizes(values, what, smallest):
    sizes = list(values) if is_list(values) else [values]
    if not sizes or not all(
        isinstance(v, int | np.integer) and not isinstance(v, bool) and smallest <= v <= MOST for v in sizes
    ):
        raise ModelError(
            f"{what} is a whole number from {smallest} on (to {MOST:,}), or several of them, not {values!r}"
        )
    return [int(v) for v in sizes]
