"""The file of a fit: one zip archive that holds ``content.json`` and an ``.npy`` file for each array.

Anything that reads JSON and NumPy's format reads it, and nothing in it is run. ``content.json`` is an object
with the name of the format, its version, the versions of the libraries that wrote it, and the content:
nested objects, lists, text, numbers and null. Where an array stands the object is ``{"$array": "3.npy"}``,
for a number that JSON lacks ``{"$number": "nan"}``, and for pandas' NA ``{"$missing": true}``.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy

from glmmlib._version import __version__
from glmmlib.errors import DataError

NAME = "glmmlib fit"
VERSION = 1  # of the format: raised when an older glmmlib would read a new file wrongly
CONTENT = "content.json"
BROKEN = (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError, EOFError, NotImplementedError)
PLAIN = "biufcmMU"  # kinds of arrays that hold no Python objects


def to_bytes(content: dict[str, Any]) -> bytes:
    """Return the file that holds the content.

    Parameters
    ----------
    content : dict
        Of dicts with text for keys, lists, tuples (which become lists), text, numbers, None, pandas' NA and
        arrays.

    Returns
    -------
    bytes
        The same for the same content.

    Raises
    ------
    TypeError
        For anything else.

    Examples
    --------
    >>> from_bytes(to_bytes({"a": np.arange(3), "b": [1, None, float("inf")]}), "x.fit")
    {'a': array([0, 1, 2]), 'b': [1, None, inf]}
    """
    writer = _Writer()
    head = {
        "format": NAME,
        "format_version": VERSION,
        "glmmlib": __version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "pandas": pd.__version__,
        "content": writer.encoded(content),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        members = {CONTENT: json.dumps(head, ensure_ascii=False, allow_nan=False).encode(), **writer.arrays}
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)  # with no date
    return file.getvalue()


def from_bytes(data: bytes, path: str | os.PathLike) -> dict[str, Any]:
    """Return the content of a file, of which `path` is the name for messages.

    Raises
    ------
    DataError
        For a file of another format, of a newer version of this one, or one that is damaged.
    """
    return opened(data, path)["content"]


def opened(data: bytes, path: str | os.PathLike) -> dict[str, Any]:
    """Return the whole of a file: its content, and the versions that wrote it; errors as in `from_bytes`."""
    what = f"{os.fspath(path)!r}"
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        head = json.loads(archive.read(CONTENT))
        is_ours = head["format"] == NAME and isinstance(head["format_version"], int)
    except BROKEN:
        is_ours = False
    if not is_ours:
        raise DataError(f"{what} is no file that fit.save() wrote, or it is damaged")
    if head["format_version"] > VERSION:
        raise DataError(
            f"{what} was written by glmmlib {head['glmmlib']} in a newer format "
            f"({head['format_version']}) than glmmlib {__version__} reads ({VERSION}): install the newer one"
        )
    try:
        return head | {"content": _decoded(head["content"], lambda name: _array(archive.read(name)))}
    except BROKEN as error:
        raise DataError(f"{what} is damaged: {error}") from error


@dataclass
class _Writer:
    """Turns content into what JSON has, and puts arrays aside."""

    arrays: dict[str, bytes] = field(default_factory=dict)

    def encoded(self, value: Any) -> Any:
        if value is None or isinstance(value, str | bool):
            return value
        if value is pd.NA:
            return {"$missing": True}
        if isinstance(value, dict):
            return {_checked_key(key): self.encoded(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.encoded(item) for item in value]
        if isinstance(value, np.ndarray):
            return {"$array": self._put_aside(value)}
        if isinstance(value, np.bool_ | np.integer | np.floating):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            return {"$number": repr(value)}
        if isinstance(value, bool | int | float):
            return value
        raise TypeError(f"values of the type {type(value).__name__}")

    def _put_aside(self, array: np.ndarray) -> str:
        if array.dtype.kind not in PLAIN:
            raise TypeError(f"arrays of the type {array.dtype}")
        file, name = io.BytesIO(), f"{len(self.arrays)}.npy"
        np.save(file, array, allow_pickle=False)
        self.arrays[name] = file.getvalue()
        return name


def _checked_key(key: Any) -> str:
    if not isinstance(key, str) or key.startswith("$"):
        raise TypeError(f"a name such as {key!r}")
    return key


def _array(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)


def _decoded(value: Any, read: Callable[[str], np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decoded(item, read) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return read(value["$array"])
    if "$number" in value:
        return float(value["$number"])
    if "$missing" in value:
        return pd.NA
    return {key: _decoded(item, read) for key, item in value.items()}
