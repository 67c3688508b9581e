"""Wald tests of linear hypotheses about the fixed effects, written as text, as numbers or as a term."""

from __future__ import annotations

import ast
import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from glmmlib.display.arguments import checked
from glmmlib.display.tables import Table, aligned, fixed, p_text
from glmmlib.display.words import did_you_mean, meant
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.contrasts import DDF_TITLE, check_ddf, joint_test, single_tests
from glmmlib.types import FloatArray


@dataclass(frozen=True, eq=False)
class WaldTest:
    """The result of :func:`glmmlib.wald_test`; ``print`` shows it with its null hypothesis.

    Attributes
    ----------
    hypotheses : tuple of str
        H0, one equation for each row: ``("Days = 0",)``.
    rows : DataFrame
        Each row's ``estimate``, ``se``, ``df``, ``statistic`` and ``p`` on its own.
    kind : {"t", "z", "F", "chi2"}
    statistic, p : float
        Of all rows together.
    df : tuple
        ``(numerator, denominator)`` for F, otherwise ``(df,)``.
    ddf : {"satterthwaite", "kenward-roger", "z", "CR0", "CR2"}
        Of which kind covariance and degrees of freedom are.
    L : (r, p) array
    """

    hypotheses: tuple
    rows: pd.DataFrame
    kind: str
    statistic: float
    df: tuple
    p: float
    ddf: str
    L: np.ndarray = field(repr=False)

    def _table(self) -> Table:
        r = self.rows
        columns = [
            self.hypotheses,
            aligned(r["estimate"], r["se"]),
            aligned(r["se"]),
            fixed(r["df"], 1),
            fixed(r["statistic"], 2),
            map(p_text, r["p"]),
        ]
        letter = "t" if self._has_df else "z"
        return Table("", ("H0", "Estimate", "SE", "df", letter, "p"), tuple(zip(*columns, strict=True)))

    def _joint(self):
        df = f"{self.df[0]:.0f}" + (f", {fixed(self.df[1:], 1)[0]}" if self.kind == "F" else "")
        p = p_text(self.p) if self.p < 0.001 else f"= {p_text(self.p)}"
        return f"all at once: {self.kind}({df}) = {self.statistic:.2f}, p {p}"

    def _title(self) -> str:
        robust = f"cluster-robust, {self.ddf}{', Satterthwaite' if self._has_df else ''}"
        how = DDF_TITLE.get(self.ddf, robust)
        return f"Wald test ({how}{' degrees of freedom' if self._has_df else ''})"

    @property
    def _has_df(self):
        return self.kind in ("t", "F")

    def __str__(self) -> str:
        lines = [self._title(), self._table().to_text()]
        return "\n".join(lines + ([self._joint()] if len(self.hypotheses) > 1 else []))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = self._table()
        html = Table(self._title(), table.header, table.rows).to_html()
        note = f"<p>{self._joint().replace('<', '&lt;')}</p>" if len(self.hypotheses) > 1 else ""
        return f'<div class="glmmlib">{html}{note}</div>'


@checked
def wald_test(fit: FittedModel, contrast: Any, ddf: str | None = None) -> WaldTest:
    r"""Test linear hypotheses about the fixed effects, :math:`H_0: L\beta = r`.

    Parameters
    ----------
    fit : MixedModelFit
    contrast : str, dict, array, or list of str
        - an equation in the names of the coefficients, ``"Days = 5"`` or ``"a - 2*b"`` (``= 0`` may be left
          out); several in a list, or in one text between semicolons;
        - the name of a term, ``"period"``: all of its coefficients are zero;
        - a dict of weights, ``{"Days": 1, "Intercept": -1}``;
        - an array (p,) or (r, p) of weights in the order of ``fit.params``.
    ddf : {"satterthwaite", "kenward-roger", "z"}, optional
        As in :func:`coef_tests`.

    Returns
    -------
    WaldTest
        One row gives t (or z), several an F (or chi-square) test of all together, by Fai and Cornelius
        (1996).

    Raises
    ------
    ModelError
        For a name that is not a coefficient, an expression that is not linear, rows that depend on each
        other, and coefficients without a finite estimate (separation).

    Examples
    --------
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))
    >>> gl.wald_test(fit, "Days = 5")
    Wald test (Satterthwaite degrees of freedom)
      H0        Estimate     SE    df     t      p
      Days = 5    10.467  1.546  17.0  3.54  0.003
    """
    L, rhs = contrast_matrix(fit, contrast)
    if not (L != 0).any(axis=1).all():
        raise ModelError("a row of the contrast has no coefficient in it: there is nothing to test")
    ddf = check_ddf(fit, ddf)
    if not fit.solution.is_estimable(L).all():
        raise ModelError(
            "the contrast holds coefficients without a finite estimate (separation), so a Wald test means "
            "nothing: compare with the model without them, gl.anova(smaller, larger)"
        )
    rows = single_tests(fit, L, rhs, ddf)
    hypotheses = tuple(equation(row, r, fit.params.index) for row, r in zip(L, rhs, strict=True))
    if len(L) == 1:
        kind, one = "z" if ddf == "z" else "t", rows.iloc[0]
        return WaldTest(
            hypotheses, rows, kind, float(one["statistic"]), (float(one["df"]),), float(one["p"]), ddf, L
        )
    test = joint_test(fit, L, rhs, ddf)
    df = (test.n_contrasts, test.df) if test.kind == "F" else (test.n_contrasts,)
    return WaldTest(hypotheses, rows, test.kind, test.statistic, df, test.p, ddf, L)


def contrast_matrix(fit: FittedModel, contrast: Any) -> tuple[FloatArray, FloatArray]:
    """Return L (r, p) and the right-hand sides (r,) of a contrast in any of its spellings."""
    names = list(fit.params.index)
    term = meant(contrast, list(fit.design.term_slices))
    if isinstance(contrast, str) and contrast not in names and term in fit.design.term_slices:
        L = np.eye(len(names))[fit.design.term_slices[term]]
        if not len(L):
            raise ModelError(
                f"no column of the term {contrast!r} could be estimated: all of them were aliased"
            )
        return L, np.zeros(len(L))
    if isinstance(contrast, str):
        contrast = [part for part in contrast.split(";") if part.strip()]
    if isinstance(contrast, Mapping):
        L = np.zeros((1, len(names)))
        for given, weight in contrast.items():
            name = meant(given, names)
            if not isinstance(weight, numbers.Real) or not np.isfinite(float(weight)):
                raise ModelError(f"the weight of {name!r} in a contrast is a finite number, not {weight!r}")
            L[0, _position(name, names)] = weight
        return L, np.zeros(1)
    if isinstance(contrast, list) and contrast and all(isinstance(c, str) for c in contrast):
        forms = np.array([_linear_form(text, names) for text in contrast])
        return forms[:, :-1], 0.0 - forms[:, -1]
    try:
        L = np.atleast_2d(np.asarray(contrast, dtype=float))
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"a contrast is a text, a dict or an array of numbers, not {contrast!r}") from error
    if L.ndim != 2 or L.shape[1] != len(names) or not len(L) or not np.isfinite(L).all():
        raise ModelError(
            f"a contrast has one finite number for each of the {len(names)} coefficients in a row; this has "
            f"shape {L.shape}"
        )
    return L, np.zeros(len(L))


def _position(name: str, names: Sequence[str]):
    if name not in names:
        raise ModelError(f"{name!r} is not a coefficient of the fixed effects{did_you_mean(name, names)}")
    return names.index(name)


def _linear_form(text: str, names: Sequence[str]) -> FloatArray:
    """Read ``left = right`` as the weights of ``left - right``, the constant last."""
    sides = re.split(r"(?<![=<>!])=(?!=)", _mark(text, names))
    if len(sides) > 2:
        raise ModelError(f"a hypothesis has one equals sign; {text.strip()!r} has {len(sides) - 1}")
    try:
        forms = [_evaluate(ast.parse(side.strip(), mode="eval").body, len(names) + 1) for side in sides]
    except (SyntaxError, TypeError, ZeroDivisionError) as error:
        raise ModelError(
            f"{text.strip()!r} is not a linear expression in the coefficients; write for example 'a - 2*b = "
            "0'"
        ) from error
    return forms[0] - forms[1] if len(forms) == 2 else forms[0]


def _mark(text, names):
    """Replace every coefficient, longest name first, by a plain variable; complain about what is left."""
    ordered = sorted(range(len(names)), key=lambda i: -len(names[i]))
    spelt = [f"{_bare(names[i])}|{_in_backticks(names[i])}" for i in ordered]
    number = r"(?<!\w)\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+"
    token = re.compile(
        "|".join(
            [f"(?P<n{i}>{s})" for i, s in zip(ordered, spelt, strict=True)]
            + [f"(?P<num>{number})", r"(?P<op>[-+*/()=\s])"]
        )
    )
    out, at = "", 0
    while at < len(text):
        match = token.match(text, at)
        if match is None:
            word = re.match(r"[^\s*/()=]+", text[at:])
            _position(word.group() if word else text[at], names)
        kind = match.lastgroup
        out += match.group() if kind in ("num", "op") else f" c{kind[1:]} "
        at = match.end()
    return out


def _bare(name):
    """Return a pattern for a coefficient as it is printed, and no part of a longer name."""
    before = r"(?<!\w)" if name[0].isalnum() else ""
    return before + re.escape(name) + (r"(?![\w\[:])" if name[-1].isalnum() else "(?!:)")


def _in_backticks(name):
    """Return a pattern for it as a formula spells it: ```my f`[T.b]:x``, or all of it in backticks."""
    factors = re.findall(r"((?:`[^`]*`|[^`:\[])+)((?:\[[^\]]*\])?)(:?)", name)
    spelt = "".join(
        (re.escape(base) if base[0] == "`" else f"(?:{re.escape(base)}|`{re.escape(base)}`)")
        + re.escape(level + colon)
        for base, level, colon in factors
    )
    return f"(?:`{re.escape(name)}`|{spelt})(?![\\w\\[:])"


def _evaluate(node, size):
    """Evaluate a linear expression; a form is an array of weights with the constant last."""
    if isinstance(node, (ast.Constant, ast.Name)):
        form = np.zeros(size)
        if isinstance(node, ast.Constant):
            form[-1] = node.value
        else:
            form[int(node.id[1:])] = 1.0
        return form
    if isinstance(node, ast.UnaryOp):
        value = _evaluate(node.operand, size)
        return -value if isinstance(node.op, ast.USub) else value
    if not isinstance(node, ast.BinOp):
        raise TypeError("not linear")
    left, right = _evaluate(node.left, size), _evaluate(node.right, size)
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult) and not left[:-1].any():
        return left[-1] * right
    if isinstance(node.op, ast.Mult) and not right[:-1].any():
        return right[-1] * left
    if isinstance(node.op, ast.Div) and not right[:-1].any() and right[-1] != 0:
        return left / right[-1]
    raise TypeError("not linear")


def equation(row: FloatArray, rhs: float, names: pd.Index) -> str:
    """Write one row of a contrast as an equation in the names of the coefficients."""
    text = ""
    for weight, name in zip(row, names, strict=True):
        if weight:
            size = "" if abs(weight) == 1 else f"{abs(weight):.4g}*"
            sign = ("-" if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
            text += sign + size + name
    return f"{text} = {rhs:.6g}"
