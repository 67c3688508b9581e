"""What a formula may call: everything else is refused before anything is computed.

A formula is a text, and texts come from strangers. So it is no Python program: it may use the transforms
below, numpy's elementwise functions and statistics, and methods of a column that return values. None of
these reads or writes a file, reaches another module, or changes a column in place.
"""

from __future__ import annotations

import numpy as np

#: Functions that work on each row by itself, beside numpy's.
ELEMENTWISE = {
    "abs": np.abs,
    "round": np.round,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "exp2": np.exp2,
    "exp10": lambda x: np.power(10.0, x),
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "floor": np.floor,
    "ceil": np.ceil,
}

#: Transforms that remember what they learned from the data of the fit (means, knots, levels) for new data.
TRANSFORMS = ("C", "I", "Q", "bs", "cc", "center", "cr", "cs", "factor", "poly", "scale", "standardize")

#: The one transform that looks at the rows before.
ORDERED = ("lag",)

#: Python's own functions of all rows.
STATISTICS = {"len": len, "max": max, "min": min, "sum": sum}

#: Words for types, as in ``x.astype(float)``, and R's spelling of two constants.
VALUES = {"bool": bool, "float": float, "int": int, "str": str, "TRUE": True, "FALSE": False}

#: Contrasts, as in ``C(f, contr.sum)`` and, as patsy spells them, ``C(f, Sum)``.
CONTRASTS = {"SAS", "custom", "diff", "helmert", "poly", "sum", "treatment"}
PATSY_CONTRASTS = ("Diff", "Helmert", "Poly", "Sum", "Treatment")

#: Transforms that make many columns.
SPLINES = ("bs", "cc", "cr", "cs", "poly")

#: Of numpy: all elementwise functions (ufuncs), and these.
NUMPY_ELEMENTWISE = {
    "around", "clip", "digitize", "interp", "isclose", "isin", "nan_to_num", "round", "searchsorted",
    "select", "sinc", "where",
}  # fmt: skip
NUMPY_STATISTICS = {
    "amax", "amin", "average", "max", "mean", "median", "min", "nanmax", "nanmean", "nanmedian", "nanmin",
    "nanpercentile", "nanquantile", "nanstd", "nansum", "nanvar", "percentile", "prod", "ptp", "quantile",
    "std", "sum", "var",
}  # fmt: skip
NUMPY_ORDERED = {"argsort", "cumprod", "cumsum", "diff"}
NUMPY_VALUES = {"array", "asarray", "bool_", "e", "float64", "inf", "int64", "nan", "pi"}
_UFUNCS = {name for name in dir(np) if isinstance(getattr(np, name), np.ufunc)}
NUMPY: set[str] = _UFUNCS | NUMPY_ELEMENTWISE | NUMPY_STATISTICS | NUMPY_ORDERED | NUMPY_VALUES

#: What may stand before a dot without being a column.
NAMESPACES = {"np": NUMPY, "contr": CONTRASTS}

#: Methods and attributes of a column that give one value for each row, from that row alone ...
METHODS = {
    "abs", "add", "astype", "between", "clip", "combine_first", "div", "eq", "fillna", "floordiv", "ge",
    "gt", "isin", "isna", "isnull", "le", "lt", "map", "mask", "mod", "mul", "ne", "notna", "notnull", "pow",
    "replace", "round", "sub", "to_numpy", "truediv", "values", "where",
    # ... those of text, behind .str
    "str", "capitalize", "contains", "count", "endswith", "find", "fullmatch", "get", "isdigit", "isnumeric",
    "len", "lower", "lstrip", "match", "rstrip", "slice", "split", "startswith", "strip", "title", "upper",
    # ... of dates and durations, behind .dt
    "dt", "day", "day_name", "dayofweek", "dayofyear", "days", "hour", "microsecond", "microseconds",
    "minute", "month", "month_name", "nanosecond", "nanoseconds", "quarter", "second", "seconds",
    "total_seconds", "weekday", "year",
    # ... and of a factor, behind .cat
    "cat", "codes", "ordered", "rename_categories", "reorder_categories", "set_categories",
}  # fmt: skip
#: ... those that give one value for all rows ...
METHOD_STATISTICS = {
    "kurt", "max", "mean", "median", "min", "nunique", "prod", "quantile", "sem", "skew", "std", "sum", "var",
}  # fmt: skip
#: ... and those that look at the rows before or at a group.
METHODS_ORDERED = {
    "cummax", "cummin", "cumprod", "cumsum", "diff", "groupby", "pct_change", "rank", "shift", "transform",
}  # fmt: skip
ATTRIBUTES = METHODS | METHOD_STATISTICS | METHODS_ORDERED

#: Those of all these that may look up the values of other rows: whether they do is found by trying.
LOOKUPS = {"cat", "combine_first", "fillna", "interp", "isin", "map", "replace", "searchsorted", "select"}

#: ``groupby(g).transform("mean")``: the only names that transform() may be given.
GROUP_STATISTICS = {
    "count", "cumcount", "cumsum", "first", "last", "max", "mean", "median", "min", "nunique", "rank", "size",
    "std", "sum", "var",
}  # fmt: skip

#: Arguments that would change a column in place.
IN_PLACE = {"inplace", "out", "where"}

#: What is written in R, and what to write here.
R_HABITS = {
    "as.factor": "for a factor write C(x)",
    "as.character": "for a factor write C(x)",
    "as.numeric": "write x.astype(float)",
    "as.integer": "write x.astype(int)",
    "as.logical": "write x.astype(bool)",
    "cut": "compute the classes beforehand with pandas.cut, or write C(np.digitize(x, [1, 2]))",
    "dummy": "write I(x == 'level')",
    "exclude": "leave the column out",
    "ifelse": "write np.where(condition, yes, no)",
    "interaction": "write a:b",
    "gp": "a field is a random term here: write exp(x | 1), or mat(x + z | 1)",
    "is.na": "write x.isna()",
    "logb": "write log(x), log2(x) or log10(x)",
    "mean": "for a centred column write center(x); for the mean itself np.mean(x)",
    "median": "write np.median(x)",
    "mo": "a monotonic effect cannot be fitted here: write C(x)",
    "ns": "for a natural spline write cr(x, df=4)",
    "nrow": "write len(x)",
    "ordered": "for polynomial contrasts write C(x, contr.poly)",
    "pmax": "write np.maximum(a, b)",
    "pmin": "write np.minimum(a, b)",
    "quantile": "write np.quantile(x, 0.5)",
    "rank": "write x.rank()",
    "relevel": "write C(x, contr.treatment('level')), or order the levels with pandas.Categorical",
    "rcs": "for a natural spline write cr(x, df=4)",
    "s": "a smooth curve stands on its own, joined by '+': y ~ f + s(x) + (1 | g)",
    "sd": "for a standardised column write scale(x); for the SD itself np.std(x, ddof=1)",
    "te": "a smooth surface cannot be fitted here: write s(x) + s(z), or a field exp(x + z | 1)",
    "var": "write np.var(x, ddof=1)",
}
R_HABITS |= dict.fromkeys(("ti", "t2"), R_HABITS["te"])

# Words of covariance structures in lme4 and glmmTMB that are written otherwise here, or are not there.
STRUCTURES_ELSEWHERE = {
    "homcs": "write cs(0 + f | g, hom=True)",
    "homdiag": "write diag(0 + f | g, hom=True)",
    "hetar1": "write ar1(0 + time | g, hom=False)",
    "toep": "it is a structure of residuals here: residual='toep(time | g)'",
    "homtoep": "it is a structure of residuals here: residual='toep(time | g)'",
    "ou": "write exp(time | g), whose correlation falls with the distance of any times",
    "gau": "write mat(x + z | 1), a field nearly as smooth",
    "rr": "a reduced rank cannot be fitted here: write us(0 + f | g), or name fewer columns",
    "propto": "write known(1 | g, cov='A'), and known={'A': matrix}",
    "equalto": "known(1 | g, cov='A') is a known covariance times a scale that is estimated",
}
