r"""An F (or chi-square) test for each term of one fit.

What "the effect of a term" means depends on the type, by which rows L the hypothesis :math:`L\beta = 0` has:

- type I: each term after those before it in the formula; the term's rows of R in :math:`X = QR`;
- type II: each term after all others but those that contain it (``a:b`` contains ``a``);
- type III: each term as the coefficients of sum-to-zero contrasts, so that a factor's main effect is averaged
  over the levels of the factors it interacts with. For a number in an interaction, the other factor is
  compared where it is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import qr

from glmmlib.design.arrays import Design
from glmmlib.design.recoding import sum_to_zero
from glmmlib.display.tables import Table, fixed, html_with_notes, p_text, text_with_notes
from glmmlib.display.words import listed
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import DDF_TITLE, check_ddf, joint_test
from glmmlib.types import FloatArray, IntArray

_TYPES = {1: 1, 2: 2, 3: 3, "I": 1, "II": 2, "III": 3}
_TYPE_MEANING = {
    1: "Type I: each term after those before it",
    2: "Type II: each term after all others that do not contain it",
    3: "Type III: each term after all others, averaged over other factors' levels",
}


@dataclass(frozen=True, eq=False)
class TermTests:
    """The result of ``anova(fit)``: an F (or chi-square) test for each term.

    Attributes
    ----------
    table : DataFrame
        ``df_num``, ``df_den``, ``F`` (or ``chi2``) and ``p``, one row for each term.
    hypotheses : dict of str to (r, p) array
        For each term, L of the null hypothesis ``L beta = 0``.
    type : {1, 2, 3}
    ddf : {"satterthwaite", "kenward-roger", "z"}
    notes : tuple of str
        What the table leaves empty, and why.
    """

    table: pd.DataFrame
    hypotheses: dict
    type: int
    ddf: str
    notes: tuple = ()

    def _table(self):
        t, is_F = self.table, "F" in self.table
        what = f"F tests, {DDF_TITLE[self.ddf]} degrees of freedom" if is_F else "Wald chi-square tests"
        caption = f"{what}\n{_TYPE_MEANING[self.type]}\nH0: all coefficients that stand for the term are zero"
        columns = [list(t.index), fixed(t["df_num"], 0)] + ([fixed(t["df_den"], 2)] if is_F else [])
        columns += [fixed(t["F" if is_F else "chi2"], 2), map(p_text, t["p"])]
        header = ("Term", "df", *(("df (den.)", "F") if is_F else ("chi2",)), "p")
        return Table(caption, header, tuple(zip(*columns, strict=True)))

    def __str__(self) -> str:
        return text_with_notes(self._table().to_text(), self.notes)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_with_notes(self._table().to_html(), self.notes)


def term_tests(fit: FittedModel, type: int = 3, ddf: str | None = None) -> TermTests:
    """Test each fixed-effects term of one fit; see :func:`anova`."""
    if type not in _TYPES:
        raise ModelError(f"type is 1, 2 or 3, not {type!r}")
    type, ddf = _TYPES[type], check_ddf(fit, ddf)
    make = {1: _sequential, 2: _respecting_marginality, 3: _averaged}[type]
    hypotheses = make(fit.design)
    undefined = _undefined(fit.design) if type == 3 and fit.design.aliased else []
    tests = {name: joint_test(fit, L, ddf=ddf) for name, L in hypotheses.items()}
    rows = [
        {"df_num": t.n_contrasts, "df_den": t.df, t.kind: t.statistic, "p": t.p}
        if t.kind == "F"
        else {"df_num": t.n_contrasts, t.kind: t.statistic, "p": t.p}
        for t in tests.values()
    ]
    columns = ["df_num", "chi2", "p"] if ddf == "z" else ["df_num", "df_den", "F", "p"]
    table = pd.DataFrame(rows, list(tests), columns)
    lost = list(table.index[table["p"].isna()])
    empty = [name for name in undefined if name in table.index]
    table.loc[empty] = np.nan
    return TermTests(table, hypotheses, type, ddf, tuple(_notes(lost, empty)))


def _notes(lost, empty):
    """Say why these terms have no test: separation, and cells without data."""
    if empty:
        yield (
            f"{listed(empty)}: an average over cells of which the data hold none, so nothing to test: "
            "use type=2, or say what you mean with gl.wald_test"
        )
    if lost:
        yield (
            f"{listed(lost)}: separation, so coefficients in it have no finite estimate, and a Wald test "
            "means nothing; compare with the model without it, gl.anova(smaller, larger)"
        )


def _terms(design: Design) -> dict[str, IntArray]:
    """Return the columns of each term but the intercept."""
    slices = design.term_slices.items()
    return {
        name: np.arange(s.start, s.stop) for name, s in slices if name != "Intercept" and s.stop > s.start
    }


def _sequential(design):
    order = np.arange(design.X.shape[1])
    return {
        name: _after(design.X, order[: columns[0]], columns, order[columns[-1] + 1 :])
        for name, columns in _terms(design).items()
    }


def _respecting_marginality(design):
    p, found, factors = design.X.shape[1], {}, _factors(design)
    terms = _terms(design)
    for name, columns in terms.items():
        containing = [
            terms[other] for other in terms if other != name and _contains(factors[other], factors[name])
        ]
        later = np.concatenate([*containing, np.zeros(0, dtype=int)]).astype(int)
        before = np.setdiff1d(np.arange(p), np.concatenate([columns, later]))
        found[name] = _after(design.X, before, columns, later)
    return found


def _after(X: FloatArray, before: Sequence[str], columns: Sequence[str], later: Sequence[str]):
    """Return L for the columns after those before and ahead of the later ones, which are not held fixed."""
    order = np.concatenate([before, columns, later]).astype(int)
    scale = np.sqrt(np.einsum("np,np->p", X, X))
    R = qr((X / scale)[:, order], mode="economic")[1] * scale[order]
    L = np.zeros((len(columns), X.shape[1]))
    L[:, order] = R[len(before) : len(before) + len(columns)]
    return L


def _factors(design):
    """Return for each term its categorical and its numerical factors."""
    recipe = design.recipe
    is_categorical = recipe.is_categorical("fixed")
    split = {}
    for name, term in zip(recipe.term_names("fixed"), recipe.parts["fixed"], strict=True):
        categorical = {factor for factor in term.factors if is_categorical[factor]}
        split[name] = (categorical, set(term.factors) - categorical)
    return split


def _contains(larger: str, smaller: str) -> bool:
    return larger[1] == smaller[1] and larger[0] > smaller[0]


def _averaged(design: Design) -> dict[str, FloatArray]:
    """Type III: where the coefficients of sum-to-zero contrasts stand, in terms of the fit's own
    coefficients.
    """
    factors = _factors(design)
    terms = _terms(design)
    if not any(categorical for categorical, _ in factors.values()):
        return {name: np.eye(design.X.shape[1])[columns] for name, columns in terms.items()}
    S, columns = sum_to_zero(design)
    S, columns = _independent(S, columns) if design.aliased else (S, columns)
    scale = np.sqrt(np.einsum("np,np->p", S, S))
    M = np.linalg.lstsq(S / scale, design.X, rcond=1e-10)[0] / scale[:, None]
    return {name: M[columns[name]] for name in terms}


def _independent(S, columns):
    """Leave out the columns that follow from those before them; returns the rest, and where each term has
    its own.
    """
    scaled = S / np.maximum(np.sqrt(np.einsum("np,np->p", S, S)), 1e-300)
    kept, basis = np.zeros(S.shape[1], dtype=bool), np.zeros((len(S), 0))
    for k, column in enumerate(scaled.T):
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        size = float(np.linalg.norm(rest))
        kept[k] = size > 1e-7
        if kept[k]:
            basis = np.column_stack([basis, rest / size])
    place = np.concatenate([[0], np.cumsum(kept)])
    return S[:, kept], {name: slice(place[s.start], place[s.stop]) for name, s in columns.items()}


def _undefined(design):
    """The terms whose average over the levels of another factor needs cells that the data do not hold."""
    factors, slices = _factors(design), design.term_slices
    full = dict(zip(design.recipe.term_names("fixed"), design.recipe.term_slices("fixed"), strict=True))
    lost = [n for n, s in slices.items() if s.stop - s.start < full[n].stop - full[n].start]
    return [name for name in slices if any(_contains(factors[other], factors[name]) for other in lost)]
