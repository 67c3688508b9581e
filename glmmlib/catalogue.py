"""The data sets of the course: four simulated ones whose truth is known, and real ones from the literature.

The files live in ``data/``: one CSV for each set, ``codebook.json`` (what each column is, its unit, its
levels in order, source and terms) and ``truth.json`` (the parameters that the simulated sets were drawn
from). An installed glmmlib carries that folder inside itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pandas as pd

from glmmlib.display.arguments import check_label
from glmmlib.display.versions import PANDAS
from glmmlib.errors import DataError

__all__ = ["Truth", "codebook", "datasets", "load", "load_truth"]

# pandas reads numbers to the last digit of itself from version 3 on.
TO_THE_LAST_DIGIT: Any = {} if PANDAS >= 3 else {"float_precision": "round_trip"}


@dataclass(frozen=True)
class Truth:
    """What a simulated data set was drawn from.

    Attributes
    ----------
    name : str
        The data set.
    seed : int
        Seed of the PCG64 generator in ``data/generate.py``.
    model : str
        The equation, with the names of `parameters` in it.
    parameters : dict
        Name of each parameter to its true value.
    groups : pandas.DataFrame
        The true deviations of each group, with the group's name as index.
    others : dict
        Further parts of the truth: ``design`` (how x was drawn), ``tadpoles`` (the frogs' second response).
    """

    name: str
    seed: int
    model: str
    parameters: dict
    groups: pd.DataFrame
    others: dict


def load(name: str) -> pd.DataFrame:
    """Load one data set of the course.

    Grouping factors and other factors come as categoricals of strings, in the order of the codebook: the
    first level is the reference. Everything else is a number.

    Parameters
    ----------
    name : str
        A name that :func:`datasets` lists.

    Returns
    -------
    pandas.DataFrame
        A fresh copy, one row an observation.

    Raises
    ------
    DataError
        If there is no set of that name; the message names the nearest.

    Examples
    --------
    >>> import glmmlib as gl
    >>> sleep = gl.load("sleepstudy")
    >>> sleep.head(3)
       Reaction  Days Subject
    0  249.5600     0     308
    1  258.7047     1     308
    2  250.8006     2     308
    """
    columns = _entry(name)["columns"]
    text_columns = {column: str for column, about in columns.items() if "levels" in about}
    with (_folder() / f"{name}.csv").open(encoding="utf-8") as file:
        data = pd.read_csv(file, dtype=text_columns, keep_default_na=False, **TO_THE_LAST_DIGIT)
    for column in text_columns:
        about = columns[column]
        levels = _levels(data[column], about["levels"])
        data[column] = pd.Categorical(data[column], levels, ordered=about.get("ordered", False))
    return data


def load_truth(name: str) -> Truth:
    """Load the truth behind one of the simulated data sets.

    Parameters
    ----------
    name : str
        A name that :func:`datasets` marks as simulated.

    Returns
    -------
    Truth

    Raises
    ------
    DataError
        If there is no such set, or if it is real: then nobody knows the truth.

    Examples
    --------
    >>> import glmmlib as gl
    >>> truth = gl.load_truth("exam")
    >>> truth.parameters["sigma"]
    8.2
    >>> truth.groups.loc["c01"]
    size                        15
    teaching               lecture
    intercept_deviation     -5.881
    Name: c01, dtype: object
    """
    if not _entry(name)["simulated"]:
        simulated = ", ".join(known for known, about in _codebook().items() if about["simulated"])
        raise DataError(f"{name!r} is real, so its truth is unknown; the simulated data sets are {simulated}")
    parts = _read_json("truth.json")[name]
    groups = pd.DataFrame(parts.pop("groups"))
    groups = groups.set_index(groups.columns[0])
    known = {key: parts.pop(key) for key in ("seed", "model", "parameters")}
    return Truth(name=name, groups=groups, others=parts, **known)


def datasets() -> pd.DataFrame:
    """List the data sets: name, what it is, rows, grouping factors, and whether it is simulated.

    Returns
    -------
    DataFrame
        ``title``, ``rows``, ``groups`` and ``simulated``, one row for each data set.

    Examples
    --------
    >>> import glmmlib as gl
    >>> gl.datasets().loc["Penicillin", "groups"]
    'plate, sample'
    """
    table = {
        name: {
            "title": about["title"],
            "rows": about["rows"],
            "groups": ", ".join(c for c, col in about["columns"].items() if col["kind"] == "group"),
            "simulated": about["simulated"],
        }
        for name, about in _codebook().items()
    }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("name")


def codebook(name: str) -> pd.DataFrame:
    """Describe the columns of one data set: kind, unit and meaning.

    Parameters
    ----------
    name : str
        A name that :func:`datasets` lists.

    Returns
    -------
    DataFrame
        ``kind``, ``unit`` and ``meaning``, one row for each column. The kind is ``group`` (a grouping
        factor), ``factor``, ``number``, ``count`` or ``binary`` (0 and 1).

    Raises
    ------
    DataError
        If there is no set of that name; the message names the nearest.

    Examples
    --------
    >>> import glmmlib as gl
    >>> gl.codebook("frogs").loc["depth", "unit"]
    'metres'
    """
    columns = _entry(name)["columns"]
    table = {c: {"unit": "", **about} for c, about in columns.items()}
    table = pd.DataFrame.from_dict(table, orient="index")
    return table[["kind", "unit", "meaning"]].rename_axis("column")


def _levels(values: pd.Series, rule: list[str] | str) -> list[str]:
    """Levels in order: those of the codebook, or the values found, sorted as text or as numbers."""
    if isinstance(rule, list):
        return rule
    return sorted(values.unique(), key={"text": str, "numeric": int}[rule])


def _entry(name: str) -> dict:
    """The codebook's entry for one data set, or an error with the nearest name."""
    check_label("name", name)
    book = _codebook()
    if name in book:
        return book[name]
    by_lower_case = {known.lower(): known for known in book}
    near = get_close_matches(str(name).lower(), by_lower_case, n=1, cutoff=0.5)
    hint = f"did you mean {by_lower_case[near[0]]!r}?" if near else f"there are {', '.join(book)}"
    raise DataError(f"no data set is called {name!r}; {hint}")


@cache
def _codebook() -> dict:
    return _read_json("codebook.json")


def _read_json(file: str) -> dict:
    return json.loads((_folder() / file).read_text(encoding="utf-8"))


def _folder() -> Traversable:
    """The data folder: inside the package once it is installed, beside it in a checkout."""
    places = [files("glmmlib") / "data", Path(__file__).resolve().parent.parent / "data"]
    for place in places:
        if (place / "codebook.json").is_file():
            return place
    tried = " or ".join(str(place) for place in places)
    raise DataError(f"the data sets are missing: no codebook.json in {tried}; install glmmlib again")
