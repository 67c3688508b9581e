"""Simulated responses: from a fit, or from parameters alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.covariance.groups import Group, arrange, refuse_curves
from glmmlib.design.build import build_design
from glmmlib.display.arguments import checked, is_finite
from glmmlib.display.words import listed
from glmmlib.errors import GlmmlibError, ModelError
from glmmlib.families.base import Family
from glmmlib.families.links import Link
from glmmlib.families.registry import any_family, zero_inflated
from glmmlib.fitted import FittedModel
from glmmlib.prediction.given import by_name, fixed_effects, from_thresholds, series_of
from glmmlib.types import ArrayLike, AuxiliaryValue, FloatArray


@checked
def simulate(
    formula: str,
    data: Any,
    *,
    fixef: Mapping[str, float] | ArrayLike,
    sd: Mapping[str, Any] | None = None,
    corr: Mapping[str, Any] | None = None,
    sigma: float | None = None,
    family: str = "gaussian",
    link: str | Link | None = None,
    dispersion: float | None = None,
    zi: float | None = None,
    thresholds: ArrayLike | None = None,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    n: int | None = None,
    rng: np.random.Generator | int | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> FloatArray | pd.Series:
    r"""Draw responses from the parameters of a mixed model: no fit, and no response, is needed.

    .. math::

        \eta = X\beta + Z b + \mathrm{offset}, \quad b_j \sim N(0, \Sigma), \quad
        y \sim N(\eta, \sigma^2 / w) \text{ or } y \sim \mathrm{family}(g^{-1}(\eta)).

    Parameters
    ----------
    formula : str
        As for :func:`lmer`; the left side of ``~`` may be left out, and only ``cbind`` is read, for trials.
    data : DataFrame
        Covariates and grouping factors, with no value missing.
    fixef : dict or sequence
        Fixed effects by coefficient name (``{"Intercept": 1, "x": 0.5, "f[T.b]": 2}``), or in their order.
    sd : dict
        SDs of the random effects by grouping factor: a number for one effect, otherwise a dict by name or a
        sequence, as in ``{"site": {"Intercept": 1, "x": 0.5}}``.
    corr : dict, optional
        Correlations by grouping factor: a number for two effects, otherwise the (q, q) matrix. Zero where not
        given.
    sigma : float
        Residual SD; for ``family="gaussian"`` only.
    family, link : str
        ``"gaussian"`` or a family of :func:`glmer`, with its link.
    dispersion : float, optional
        k of ``"negbinomial"``, phi of ``"gamma"``.
    zi : float, optional
        Of counts: the probability of a structural zero, as in :func:`glmer`.
    thresholds : sequence of float, optional
        Of ``"ordinal"``: the K - 1 thresholds between its categories, in rising order. They stand in the
        place of the intercept, which `fixef` then leaves out. The categories are 1, 2, ..., K.
    weights : column name or array, optional
        Known precisions; for ``"binomial"`` the number of trials. A response ``cbind(successes, failures)``
        has those of the data.
    offset : column name or array, optional
    n : int, optional
        How many responses.  All of them share the data and draw their own random effects.
    rng : numpy.random.Generator
        The source of randomness, always to be given.
    functions : dict of str to callable, optional
        As for :func:`lmer`.

    Returns
    -------
    Series or array
        Without `n` one response, with the index of `data`; otherwise an array (rows, n). A binomial response
        with trials is a proportion, or the number of successes if the formula has ``cbind(successes,
        failures)``.

    Raises
    ------
    ModelError, DataError, FormulaError
        For parameters that are missing, unknown or impossible, by name.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import glmmlib as gl
    >>> ponds = pd.DataFrame({"pond": np.repeat(np.arange(12), 10), "x": np.tile(np.arange(10), 12)})
    >>> y = gl.simulate("~ x + (x | pond)", ponds, fixef={"Intercept": 20, "x": 1}, sigma=2,
    ...                 corr={"pond": -0.5},
    ...                 sd={"pond": {"Intercept": 3, "x": 0.5}}, n=10_000, rng=np.random.default_rng(1))
    >>> y.shape, y[[0, 9]].std(axis=1).round(1).tolist()
    ((120, 10000), [3.6, 4.4])
    """
    rng = require_generator(rng)
    text = f"response {formula}" if isinstance(formula, str) and formula.lstrip().startswith("~") else formula
    design = build_design(text, data, weights, offset, na_action="raise", response=False, functions=functions)
    chosen, auxiliary = _checked_family(family, link, sigma=sigma, dispersion=dispersion, zi=zi)
    if chosen.needs_intercept or thresholds is not None:
        chosen, beta, auxiliary = from_thresholds(chosen, thresholds, fixef, design.coef_names)
    else:
        beta = fixed_effects(fixef, design.coef_names)
    groups = arrange(design.random)[0]
    refuse_curves(groups, "a response drawn from parameters alone")
    roots = _covariance_roots(groups, {} if sd is None else sd, {} if corr is None else corr)
    eta = design.X @ beta if design.offset is None else design.X @ beta + design.offset
    eta = eta[:, None] + random_part(groups, roots, 1 if n is None else checked_count(n), rng, design.nobs)
    as_proportions = not hasattr(design.formula.response, "successes")
    prior = design.weights
    if prior is None and not as_proportions:
        prior = _trials(text, data, offset, functions)
    y = draw_responses(eta, rng, chosen, prior, auxiliary, as_proportions)
    return series_of(y, design.index, _response_name(text, design), chosen) if n is None else y


def _trials(text, data, offset, functions):
    """Return the trials of each row that the data hold for a response ``cbind(successes, failures)``."""
    try:
        return build_design(text, data, None, offset, na_action="raise", functions=functions).trials
    except GlmmlibError as error:
        raise ModelError(
            "the trials of each row are successes plus failures of cbind, which the data do not hold: give "
            f"them as weights= ({error})"
        ) from None


def simulate_fit(
    fit: FittedModel,
    n: int | None = None,
    rng: np.random.Generator | int | None = None,
    conditional: bool = False,
) -> FloatArray | pd.Series:
    """Draw responses from a fitted model; see :meth:`MixedModelFit.simulate`."""
    rng = require_generator(rng)
    count = 1 if n is None else checked_count(n)
    eta = fit.solution.linear_predictor() if conditional else fit.solution.fixed_predictor()
    eta = np.broadcast_to(eta[:, None], (fit.nobs, count))
    if not conditional:
        parts = zip(fit.groups, fit.solution.Lambdas, strict=True)
        drawn = [(g, fit.scale * L) for g, L in parts if not g.is_curve]
        if drawn:
            groups, factors = zip(*drawn, strict=True)
            eta = eta + random_part(groups, factors, count, rng, fit.nobs)
        for g, b in zip(fit.groups, fit.solution.modes, strict=True):
            if g.is_curve:  # all responses share it, as they share the fixed effects
                eta = eta + (b[:, 0] @ g.factor.Z)[:, None]
    if fit.design.residual is not None:
        y = eta + fit.solution.correlated(rng.standard_normal((count, fit.nobs))).T
    else:
        as_proportions = fit.design.trials is None
        y = draw_responses(eta, rng, fit.family, fit.observations[1], fit.auxiliary, as_proportions)
    return series_of(y, fit.design.index, fit.design.response_name, fit.family) if n is None else y


def random_part(
    groups: Sequence[Group], roots: Sequence[FloatArray], n: int, rng: np.random.Generator, nobs: int
) -> FloatArray:
    """Draw all random effects n times and return ``Z b`` (nobs, n).

    ``roots`` holds for each group a (q, q) matrix whose product with its transpose is the covariance.
    """
    total = np.zeros((nobs, n))
    for g, root in zip(groups, roots, strict=True):
        b = np.tensordot(root, rng.standard_normal((g.q, len(g.levels), n)), 1)
        for z, effect in zip(g.factor.Z, b, strict=True):
            drawn = effect[g.factor.codes]
            total += drawn if (z == 1.0).all() else z[:, None] * drawn
    return total


def draw_responses(
    eta: FloatArray,
    rng: np.random.Generator,
    family: Family,
    weights: FloatArray | None = None,
    dispersion: AuxiliaryValue = None,
    as_proportions: bool = False,
) -> FloatArray:
    """Draw responses (nobs, n) around the linear predictors ``eta`` (nobs, n)."""
    if weights is not None and not family.weights_scatter and (weights != 1.0).any():
        raise ModelError(
            f"weights of the {family.name} family multiply the log-density and do not say how a response "
            "scatters, so none can be drawn: repeat rows in the place of weights, or fit without them"
        )
    column = None if weights is None else weights[:, None]
    by_row = dispersion if np.ndim(dispersion) == 0 else dispersion[:, None]
    y = family.draw(eta, column, by_row, rng)
    return y / column if column is not None and family.support.in_trials and as_proportions else y


def require_generator(rng: Any) -> np.random.Generator:
    """Return a numpy Generator: the one given, or one made of what ``numpy.random.default_rng`` takes.

    Randomness without a source that can be named is refused.
    """
    try:
        if rng is None or isinstance(rng, bool | str):
            raise TypeError
        return np.random.default_rng(rng)
    except (TypeError, ValueError, OverflowError):
        raise ModelError(
            "random draws need a numpy Generator or a seed, so that they can be repeated: pass "
            f"rng=np.random.default_rng(1) or rng=1, not {rng!r}"
        ) from None


# --- parameters -----------------------------------------------------------------------------------


def checked_count(n: int) -> int:
    """Return how many responses to draw, a whole number from 1 on."""
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ModelError(f"n is the number of responses, 1 or more, not {n!r}")
    return int(n)


def _response_name(text, design):
    return None if text.startswith("response ~") else design.response_name


def _covariance_roots(groups, sd, corr):
    names = [g.name for g in groups]
    for given, what in ((sd, "sd"), (corr, "corr")):
        if not isinstance(given, Mapping):
            example = listed(names[:1]) or "group"
            raise ModelError(
                f"{what} is a dict by grouping factor, such as {{{example!r}: ...}}, not {given!r}"
            )
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ModelError(
                f"{what} names no grouping factor of the model: {listed(unknown)}; it has {listed(names)}"
            )
    missing = [name for name in names if name not in sd]
    if missing:
        raise ModelError(
            f"sd lacks the grouping factor {listed(missing)}: give an SD for each of its random effects"
        )
    return [_root(g, sd[g.name], corr.get(g.name)) for g in groups]


def _root(group, sd, corr):
    """Return a (q, q) matrix R with ``R R'`` the covariance; an SD of zero and a correlation of one are
    allowed.
    """
    sds = by_name(sd, group.columns, f"sd[{group.name!r}]", "random effect")
    if (sds < 0).any():
        raise ModelError(
            f"sd[{group.name!r}] holds the negative value {sds.min():g}: an SD is zero or positive"
        )
    if corr is None:
        return np.diag(sds)
    values, vectors = np.linalg.eigh(_correlation(group, corr))
    if values[0] < -1e-10:
        raise ModelError(
            f"corr[{group.name!r}] is not a correlation matrix: its smallest eigenvalue is {values[0]:.3g}, "
            "so some combination of the effects would have a negative variance"
        )
    return sds[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))


def _correlation(group: Group, corr: float) -> FloatArray:
    what, q = f"corr[{group.name!r}]", group.q
    try:
        matrix = np.asarray(corr, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise ModelError(f"{what} is a number or a matrix, not {corr!r}") from None
    if matrix.ndim == 0 and q == 2:
        matrix = np.array([[1.0, matrix], [matrix, 1.0]])
    if matrix.shape != (q, q):
        form = "a number" if q == 2 else f"a ({q}, {q}) matrix"
        raise ModelError(
            f"{what} has shape {matrix.shape}, but {group.name} has {q} random effects "
            f"({listed(group.columns)}): give {form if q > 1 else 'no correlation'}"
        )
    if not (
        np.isfinite(matrix).all()
        and np.array_equal(matrix, matrix.T)
        and (np.diag(matrix) == 1).all()
        and (np.abs(matrix) <= 1).all()
    ):
        raise ModelError(
            f"{what} is not a correlation matrix: it is symmetric, 1 on the diagonal and between -1 and 1"
        )
    free = group.covariance.free_covariances()
    if (matrix[~free] != 0).any():
        i, j = np.argwhere(~free & (matrix != 0))[0]
        raise ModelError(
            f"{what} correlates {group.columns[j]} with {group.columns[i]}, but the formula says that they "
            "are independent: put them in one term with a single bar"
        )
    return matrix


def _checked_family(family, link, **given):
    """Return the family and its auxiliary parameters; refuse those that are missing or too many."""
    chosen = any_family(family, link)
    chosen = chosen if given["zi"] is None else zero_inflated(chosen)
    wanted = {} if chosen.levels else {auxiliary.name: auxiliary for auxiliary in chosen.auxiliary}
    for what, value in given.items():
        if value is None and what not in wanted:
            continue
        if what not in wanted:
            raise ModelError(f"the {chosen.name} family has no {what}: leave it out")
        low, high = wanted[what].range
        kind = "a positive number" if np.isinf(high) else f"a number between {low:g} and {high:g}"
        if value is None:
            raise ModelError(f"the {chosen.name} family needs {what}=, {kind}")
        if not (is_finite(value) and low < value < high):
            raise ModelError(f"{what} is {kind}, not {value!r}")
    values = [given[name] for name in wanted]
    if len(values) > 1:
        return chosen, np.array([values])
    return chosen, values[0] if values else None
