r"""Cross-validation by groups: how well a model predicts groups that it has not seen.

One group (or a share of the groups) is left out, the model is refitted to the other rows, and the rows left
out are predicted as those of new groups: their density with the random effects integrated out,

.. math:: p(y_i \mid \text{the others}) = \int f(y_i \mid x_i'\hat\beta + z_i'b)\, N(b; 0, \hat\Sigma)\, db,

row by row. The log score is the mean of its logarithm. AIC estimates the same without refits where groups
are many; with few, or with a wrong model, leaving groups out says more.

Gelfand (1996), Model determination using sampling-based methods; Gneiting and Raftery (2007), Strictly proper
scoring rules, prediction, and estimation, *Journal of the American Statistical Association* 102, 359-378.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from glmmlib.design.newdata import new_design
from glmmlib.design.subset import kept_rows
from glmmlib.display.arguments import checked
from glmmlib.display.tables import Table, aligned
from glmmlib.display.words import counted, did_you_mean
from glmmlib.errors import GlmmlibError, GlmmlibWarning, ModelError
from glmmlib.families.averages import normal_nodes
from glmmlib.fitted import FittedModel
from glmmlib.inference.bends import Bends
from glmmlib.inference.expected import Rows, Scale
from glmmlib.prediction.simulate import require_generator
from glmmlib.replicates.parallel import in_parallel
from glmmlib.types import BoolArray, FloatArray

NODES = 401  # of the average over the random effects, eight SDs either way


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The result of :func:`glmmlib.cross_validate`; ``print`` shows it.

    Attributes
    ----------
    table : DataFrame
        By fold: ``rows``, ``log_score`` (mean log density of a row) and ``rmse``, in units of the response.
    rows : DataFrame
        By row of the data: ``fold``, ``log_density``, ``mean`` (predicted) and ``error`` (observed less
        predicted).
    group : str
    log_score, rmse : float
        Over all rows.
    se : float
        Standard error of the log score, folds being independent.
    """

    table: pd.DataFrame
    rows: pd.DataFrame
    group: str

    @property
    def log_score(self) -> float:
        return float(self.rows["log_density"].mean())

    @property
    def rmse(self) -> float:
        return float(np.sqrt(np.square(self.rows["error"]).mean()))

    @property
    def se(self) -> float:
        return _standard_error(self.rows["log_density"], self.rows["fold"])

    def difference(self, other: CrossValidation) -> pd.Series:
        """Compare with the log score of another model of the same rows, fold by fold.

        Parameters
        ----------
        other : CrossValidation

        Returns
        -------
        Series
            ``difference`` of the log scores (positive: this model predicts better) and its ``se``.

        Raises
        ------
        ModelError
            For other rows or folds.

        Examples
        --------
        >>> import glmmlib as gl
        >>> sleep = gl.load("sleepstudy")
        >>> slopes = gl.cross_validate(gl.lmer("Reaction ~ Days + (Days | Subject)", sleep))
        >>> none = gl.cross_validate(gl.lmer("Reaction ~ 1 + (1 | Subject)", sleep))
        >>> slopes.difference(none).round(2).to_dict()
        {'difference': 0.2, 'se': 0.06}
        """
        if not isinstance(other, CrossValidation):
            raise ModelError(f"other is what gl.cross_validate returns, not a {type(other).__name__}")
        a, b = self.rows, other.rows
        if not (a.index.equals(b.index) and (a["fold"] == b["fold"]).all()):
            raise ModelError("the two were not made with the same rows and folds, so they cannot be compared")
        gain = a["log_density"] - b["log_density"]
        return pd.Series({"difference": gain.mean(), "se": _standard_error(gain, a["fold"])})

    def _table(self) -> Table:
        row = (
            f"{len(self.table)}",
            aligned([self.log_score], [self.se])[0],
            aligned([self.se])[0],
            aligned([self.rmse])[0],
        )
        title = f"Cross-validation, levels of {self.group} left out"
        return Table(title, ("Folds", "Log score", "SE", "RMSE"), (row,), n_labels=0)

    def __str__(self) -> str:
        return self._table().to_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f'<div class="glmmlib">{self._table().to_html()}</div>'


@checked
def cross_validate(
    fit: FittedModel,
    group: str | None = None,
    n_folds: int | None = None,
    rng: np.random.Generator | int | None = None,
) -> CrossValidation:
    """Leave groups out, refit, and predict their rows as those of new groups.

    Parameters
    ----------
    fit : MixedModelFit
    group : str, optional
        The grouping factor whose levels are left out; needed if there are several.
    n_folds : int, optional
        Divide the levels at random into so many folds; by default each level is one.
    rng : numpy.random.Generator, optional
        For the division into folds.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ModelError
        For an unknown grouping factor, folds that cannot be, a fold without which the model cannot be fitted,
        and models with ``residual=``.

    Notes
    -----
    All random effects are integrated out, also those of crossed factors whose levels are known from other
    rows. The refits run on the joblib backend of ``joblib.parallel_config``.

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.cross_validate(fit)
    Cross-validation, levels of Subject left out
      Folds  Log score       SE   RMSE
         18    -5.2999  0.1314  49.60
    """
    if fit.design.residual is not None:
        raise ModelError(
            "cross-validation by groups is not there for a model with residual=, whose blocks are no random "
            "effects: compare by gl.compare"
        )
    name, codes, levels = _group(fit, group)
    folds, labels = _folds(codes, levels, n_folds, rng)
    tasks = [(fit, folds == k) for k in range(len(labels))]
    found = in_parallel(_without, tasks, "folds")
    rows = pd.DataFrame(index=fit.design.index, columns=["log_density", "mean", "error"], dtype=float)
    for k, one in enumerate(found):
        if isinstance(one, str):
            raise ModelError(f"without {labels[k]} of {name} the model cannot be fitted: {one}")
        rows.iloc[np.flatnonzero(folds == k)] = one
    rows.insert(0, "fold", [labels[k] for k in folds])
    by = rows.groupby(folds)
    table = pd.DataFrame({"rows": by.size(), "log_score": by["log_density"].mean()})
    table["rmse"] = np.sqrt(by["error"].apply(lambda e: np.square(e).mean()))
    table.index = pd.Index(labels, name=name if n_folds is None else "fold")
    return CrossValidation(table, rows, name)


def _standard_error(values, folds):
    """Return the standard error of a mean over rows whose folds are independent."""
    sums = (values - values.mean()).groupby(folds).sum()
    k = len(sums)
    return float(np.sqrt(np.square(sums).sum() * k / (k - 1)) / len(values))


def _group(fit, group):
    groups = {g.name: g for g in fit.groups if not g.is_whole}
    if not groups:
        raise ModelError("cross-validation leaves out groups, and this model has none")
    if group is None and len(groups) > 1:
        raise ModelError(
            f"there are several grouping factors: say whose levels to leave out, group={next(iter(groups))!r}"
        )
    name = next(iter(groups)) if group is None else group
    if name not in groups:
        raise ModelError(f"there is no grouping factor {name!r}{did_you_mean(name, list(groups))}")
    return name, groups[name].factor.codes, list(groups[name].levels)


def _folds(codes, levels, n_folds, rng):
    """Return the fold of each row, and the names of the folds."""
    if n_folds is None:
        return codes, levels
    if (
        isinstance(n_folds, bool)
        or not isinstance(n_folds, int | np.integer)
        or not 2 <= n_folds <= len(levels)
    ):
        raise ModelError(
            f"n_folds is a whole number from 2 to {counted(len(levels), 'level')}, not {n_folds!r}"
        )
    of_level = require_generator(rng).permutation(len(levels)) % n_folds
    return of_level[codes], list(range(1, int(n_folds) + 1))


def _without(fit: FittedModel, left_out: BoolArray) -> FloatArray | str:
    """Return log density, mean and error (m, 3) of the rows left out, or why there is no fit without them."""
    try:
        design = kept_rows(fit.design, ~left_out)
        if design is None:
            return "fixed effects can no longer be told apart"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GlmmlibWarning)
            rest = fit.with_design(design)
            return _predicted(fit, rest, left_out)
    except (GlmmlibError, np.linalg.LinAlgError) as error:
        return str(error)


def _predicted(fit, rest, left_out):
    design, terms = fit.design, range(len(fit.design.random))
    offset = design.offset[left_out] if design.offset_argument is True else None
    new = new_design(
        design, design.data.loc[left_out], random=terms, ungrouped=terms, offset=offset, auxiliary=True
    )
    new = replace(new, offset=None if design.offset is None else design.offset[left_out])
    bends = Bends.of(rest)
    rows = Rows(rest, Scale("response", True), new, bends.columns(new.random, len(new.index)))
    y, weights = fit.observations
    y, weights = y[left_out], None if weights is None else weights[left_out]
    estimates = rest.solution.estimates
    mean = rows.expected(estimates, bends.heights)
    eta = new.fixed_predictor(estimates.beta) + bends.heights @ rows.curves
    density = _log_density(rest, y, eta, rows.variance(estimates), weights, rest.auxiliary_in(new))
    return np.column_stack([density, mean, fit.family.observed(y, weights) - mean])


def _log_density(fit, y, eta, variance, weights, own):
    """Return the log density of each response with its random effects integrated out."""
    if fit.is_linear:
        total = variance + np.square(own) / (1.0 if weights is None else weights)
        return -0.5 * (np.log(2.0 * np.pi * total) + np.square(y - eta) / total)
    nodes, shares = normal_nodes(8.0, NODES)
    by_row = own if np.ndim(own) == 0 else own[None]
    at = fit.family.within(eta + nodes[:, None] * np.sqrt(variance))
    return logsumexp(fit.family.logpdf(y, at, weights, by_row), axis=0, b=shares[:, None])
