"""The recipe: how columns become model matrices, learned from the fit's data and followed for new data.

formulaic computes, but it takes names for what they spell: a column ``1`` would be its intercept, a column
``x:z`` an interaction. So it is given names of ours where the user's could be mistaken, and the columns that
it makes are called what the user wrote. Statistics in an expression, as ``x.mean()``, are remembered.

The parts of a formula (fixed effects, the left of each bar, offsets, a computed response) are named
``fixed``, ``random0``, ``random1`` ..., ``offset0`` ..., ``response`` and ``failures``; auxiliary predictors,
which have formulas of their own, ``auxiliary dispersion`` and the like.
"""

from __future__ import annotations

import ast
import copy
import keyword
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from formulaic import ModelSpec, ModelSpecs, SimpleFormula
from formulaic.parser.types import Factor as FormulaicFactor
from formulaic.parser.types import Term as FormulaicTerm

from glmmlib.design.columns import require
from glmmlib.design.functions import KEPT, MEANINGS, NUMBER, check_called
from glmmlib.design.materialiser import Materialiser
from glmmlib.design.plain import Matrix, Plain, plain_columns, plain_matrix, shown_as
from glmmlib.design.variables import AS_IS, Variable
from glmmlib.errors import DataError
from glmmlib.formula import vocabulary as known
from glmmlib.formula.algebra import Factor, Term

Parts = Mapping[str, tuple[Term, ...]]


def columns_of(parts: Parts, columns: pd.Index, where: str = "the data") -> list[str]:
    """List the columns that the parts read, in a fixed order.

    Raises
    ------
    DataError
        For a name that is no column.
    """
    found: dict[str, None] = {}
    for terms in parts.values():
        names = {name for term in terms for factor in term.factors for name in _read(factor, columns, where)}
        found |= dict.fromkeys(sorted(names))
    return list(found)


def _read(factor: Factor, columns: pd.Index, where: str) -> Iterable[str]:
    if factor.expression is None:
        return [require(factor.text, columns, where)]
    names = [*factor.expression.columns.values(), *_quoted_columns(factor.expression.tree)]
    for name in names:
        dotted = [c for c in columns if str(c).startswith(f"{name}.") and str(c) in factor.text]
        if dotted and name not in columns:
            raise DataError(
                f"'{name}' is not a column of {where}; inside a call write `{dotted[0]}` in backticks"
            )
    return [require(name, columns, where) for name in names]


def _quoted_columns(tree: ast.expr) -> list[str]:
    """Return the names in patsy's quotation: ``Q('my col')``."""
    return [name for n in ast.walk(tree) if (name := _quoted(n)) is not None]


def _quoted(node: ast.AST) -> str | None:
    """Return the name that a call of ``Q`` quotes; None where the node is no such call."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Q":
        name = node.args[0]
        return str(name.value) if isinstance(name, ast.Constant) else None
    return None


@dataclass(frozen=True, eq=False)
class Recipe:
    """How the columns of a data frame become the model matrices of the parts of a formula.

    Attributes
    ----------
    parts : dict of str to tuple of Term
    variables : dict of str to Variable
        Of the columns that the parts read.
    functions : dict of str to callable
        The caller's own, by the names in the formula.
    aliases : dict of (str, str) to str
        What formulaic is told for a column, by its name and the way in which it is seen.
    shown : dict of str to str
        What the user wrote for each factor that formulaic was given.
    specs : dict of str to ModelSpec
        formulaic's memory of each part that is not plain.
    plain : dict of str to dict
        The columns of the parts that need no formulaic: 1, columns of numbers, and factors.
    """

    parts: Parts
    variables: Mapping[str, Variable]
    functions: Mapping[str, Callable] = field(repr=False)
    aliases: dict[tuple[str, str], str] = field(repr=False)
    shown: dict[str, str] = field(repr=False)
    specs: dict[str, ModelSpec] = field(repr=False)
    plain: Mapping[str, Plain] = field(repr=False)

    def __getstate__(self) -> dict:
        """Return what pickle keeps: functions by value, for those of a script have no name to be found by."""
        from joblib import wrap_non_picklable_objects

        by_value = {n: wrap_non_picklable_objects(f, keep_wrapper=False) for n, f in self.functions.items()}
        return self.__dict__ | {"functions": by_value}

    def columns(self, keys: Iterable[str], columns: pd.Index, where: str = "the data") -> list[str]:
        """List the columns that some of the parts read."""
        return columns_of({key: self.parts[key] for key in keys}, columns, where)

    def matrices(
        self, keys: Iterable[str], columns: Mapping[str, pd.Series], index: pd.Index
    ) -> dict[str, Matrix]:
        """Compute parts from the columns of new rows (or of the fit's)."""
        plain = {key: self.plain[key] for key in keys if key in self.plain}
        specs = {key: self.specs[key] for key in keys if key in self.specs}
        return {**_plainly(plain, columns, index), **_computed(self, specs, columns, index)}

    def columns_of_factor(self, factor: Factor) -> list[str]:
        """List the columns that one factor reads."""
        return columns_of({"factor": (Term((factor,)),)}, pd.Index(list(self.variables)))

    def term_names(self, key: str) -> list[str]:
        """Name the terms of a part as its columns are named: ``Intercept``, ``a:log(x)``."""
        return [
            ":".join(shown_as(factor) for factor in term.factors) or "Intercept" for term in self.parts[key]
        ]

    def term_slices(self, key: str) -> list[slice]:
        """Return the columns of each term of a part."""
        if key in self.plain:
            counts = np.bincount([column.term for column in self.plain[key].values()])
            ends = np.cumsum(counts).tolist()
            return [slice(end - count, end) for end, count in zip(ends, counts.tolist(), strict=True)]
        slices, start = [], 0
        for encoded in self.specs[key].structure:
            slices.append(slice(start, start + len(encoded.columns)))
            start += len(encoded.columns)
        return slices

    def slices_of_kept(self, kept: np.ndarray) -> dict[str, slice]:
        """Return the columns of each fixed-effects term, counted among those kept."""
        position = np.concatenate([[0], np.cumsum(kept)])
        return {
            name: slice(int(position[s.start]), int(position[s.stop]))
            for name, s in zip(self.term_names("fixed"), self.term_slices("fixed"), strict=True)
        }

    def without(self, *keys: str) -> Recipe:
        """Return the recipe of the other parts."""
        fields = {name: getattr(self, name) for name in ("parts", "specs", "plain")}
        return replace(
            self, **{name: {k: v for k, v in of.items() if k not in keys} for name, of in fields.items()}
        )

    def is_categorical(self, key: str) -> dict[Factor, bool]:
        """Tell for each factor of a part whether it is coded by contrasts."""
        if key in self.plain:
            factors = [factor for term in self.parts[key] for factor in term.factors]
            return {factor: self.variables[factor.text].kind == "factor" for factor in factors}
        spec = self.specs[key]
        theirs = {str(factor) for factor in spec.factor_contrasts}
        writer = _Writer(self.variables, self.aliases, self.shown)
        return {
            factor: writer.factor(factor).expr in theirs
            for term in self.parts[key]
            for factor in term.factors
        }


def learn(
    parts: Parts,
    variables: Mapping[str, Variable],
    columns: Mapping[str, pd.Series],
    index: pd.Index,
    functions: Mapping[str, Callable],
) -> tuple[Recipe, dict[str, Matrix]]:
    """Compute the model matrices of the fit's data, and remember how.

    Raises
    ------
    FormulaError, DataError
    """
    for terms in parts.values():
        for term in terms:
            for factor in term.factors:
                if factor.expression is not None:
                    check_called(factor.expression.called, functions)
    found = {key: plain_columns(terms, variables) for key, terms in parts.items() if not _is_number(key)}
    plain = {key: columns for key, columns in found.items() if columns is not None}
    writer = _Writer(variables, {}, {})
    specs = {
        key: ModelSpec(
            SimpleFormula([writer.term(term, is_number=_is_number(key)) for term in terms]),
            output="pandas",
            na_action="ignore",
        )
        for key, terms in parts.items()
        if key not in plain
    }
    recipe = Recipe(parts, variables, functions, writer.aliases, writer.shown, {}, plain)
    computed = _computed(recipe, specs, columns, index)
    recipe.specs.update({key: matrix.model_spec for key, matrix in computed.items()})
    return recipe, {**_plainly(plain, columns, index), **computed}


def _plainly(
    plain: Mapping[str, Plain], columns: Mapping[str, pd.Series], index: pd.Index
) -> dict[str, Matrix]:
    return {key: plain_matrix(of_part, columns, len(index)) for key, of_part in plain.items()}


def _is_number(key: str) -> bool:
    """Tell whether a part is one number for each row: a response or an offset."""
    return not key.startswith(("fixed", "random", "auxiliary"))


def _computed(
    recipe: Recipe, specs: Mapping[str, ModelSpec], columns: Mapping[str, pd.Series], index: pd.Index
) -> dict[str, pd.DataFrame]:
    """Let formulaic compute parts together, so that a column is evaluated once."""
    if not specs:
        return {}
    seen = {
        alias: recipe.variables[name].seen(columns[name], way)
        for (name, way), alias in recipe.aliases.items()
        if name in columns
    }
    frame = pd.DataFrame(seen, index=index, copy=False)
    machine = Materialiser(frame, context={**MEANINGS, **recipe.functions})
    machine.shown = recipe.shown
    with np.errstate(all="ignore"):
        result = machine.get_model_matrix(ModelSpecs(**specs))
    return {key: getattr(result, key) for key in specs}


# --- from our factors to formulaic's --------------------------------------------------------------


class _Writer:
    """Writes terms for formulaic, with names of ours where the user's could be mistaken."""

    def __init__(
        self,
        variables: Mapping[str, Variable],
        aliases: dict[tuple[str, str], str],
        shown: dict[str, str],
    ) -> None:
        self.variables, self.aliases, self.shown = variables, aliases, shown

    def term(self, term: Term, is_number: bool = False) -> FormulaicTerm:
        if not term.factors:
            return FormulaicTerm([FormulaicFactor("1", eval_method="literal")])
        return FormulaicTerm([self.factor(factor, is_number) for factor in term.factors])

    def factor(self, factor: Factor, is_number: bool = False) -> FormulaicFactor:
        if factor.expression is None:
            text, method = self.alias(factor.text, "call" if is_number else "term"), "lookup"
        else:
            tree = _Renamer(self, factor.expression.columns).visit(copy.deepcopy(factor.expression.tree))
            text, method = ast.unparse(tree), "python"
        if is_number:
            text, method = f"{NUMBER}({text})", "python"
        self.shown[text] = shown_as(factor)
        return FormulaicFactor(text, eval_method=method)

    def alias(self, name: str, use: str) -> str:
        """Return what formulaic is told for a column."""
        name = require(name, pd.Index(list(self.variables)))
        way = self.variables[name].way(use)
        if (name, way) not in self.aliases:
            self.aliases[name, way] = name if way == AS_IS and _is_safe(name) else self._fresh()
        return self.aliases[name, way]

    def _fresh(self) -> str:
        k = len(self.aliases)
        while f"v{k}_" in self.variables:
            k += 1
        return f"v{k}_"


def _is_safe(name: str) -> bool:
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and not name.startswith("_")
        and name not in MEANINGS
        and unicodedata.normalize("NFKC", name) == name
    )


class _Renamer(ast.NodeTransformer):
    """Puts our names into an expression, and has its statistics remembered."""

    def __init__(self, writer: _Writer, columns: Mapping[str, str]) -> None:
        self.writer, self.columns, self.is_operand = writer, columns, False

    def visit(self, node: Any) -> Any:
        if not isinstance(node, ast.BinOp | ast.UnaryOp | ast.Name):
            self.is_operand = False
        return super().visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        is_arithmetic = not isinstance(node.op, ast.BitAnd)
        for side in ("left", "right"):
            self.is_operand = is_arithmetic
            setattr(node, side, self.visit(getattr(node, side)))
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.is_operand = not isinstance(node.op, ast.Invert)
        node.operand = self.visit(node.operand)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in self.columns:
            return node
        name = self.columns[node.id]
        return ast.Name(self.writer.alias(name, "operand" if self.is_operand else "call"), ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        is_statistic = _is_statistic(node)
        if (name := _quoted(node)) is not None:
            return ast.Name(self.writer.alias(name, "call"), ast.Load())
        if isinstance(node.func, ast.Attribute):
            node.func = self.visit(node.func)
        node.args = [self.visit(argument) for argument in node.args]
        for word in node.keywords:
            word.value = self.visit(word.value)
        return ast.Call(ast.Name(KEPT, ast.Load()), [node], []) if is_statistic else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        base = node.value
        if isinstance(base, ast.Name) and base.id in known.NAMESPACES and base.id not in self.columns:
            return node
        node.value = self.visit(base)
        return node


def _is_statistic(node: ast.Call) -> bool:
    """Tell whether a call gives one value (or a few) for all rows."""
    if isinstance(node.func, ast.Name):
        return node.func.id in known.STATISTICS and len(node.args) == 1
    if not isinstance(node.func, ast.Attribute):
        return False
    base = node.func.value
    if isinstance(base, ast.Name) and base.id == "np":
        return node.func.attr in known.NUMPY_STATISTICS
    by_group = any(isinstance(n, ast.Attribute) and n.attr == "groupby" for n in ast.walk(base))
    return node.func.attr in known.METHOD_STATISTICS and not by_group
