"""What a file keeps of a fit: the question and the answer.

The question is what was asked (formula, options, rows), and is read again by the code that read it first. The
answer is where the search ended, to the last bit, so that no search is made again and nothing in the file
depends on how glmmlib arranges its objects.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from glmmlib._version import __version__
from glmmlib.design.arrays import Design, frozen
from glmmlib.design.functions import checked_functions
from glmmlib.display.arguments import check_file
from glmmlib.display.words import listed
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.linalg.resources import one_blas_thread
from glmmlib.storage.archive import from_bytes, to_bytes
from glmmlib.storage.frames import packed_frame, unpacked_frame
from glmmlib.types import FloatArray

SAME = 1e-6  # of the SD of the linear predictor: read again by other versions it differs by rounding alone


class Kept(FittedModel, Protocol):
    """A fit that says what was asked, and is made again from question, design and answer."""

    def _question(self) -> dict[str, Any]: ...

    @classmethod
    def _read_design(cls, question: Mapping[str, Any], formula: str, **rows: Any) -> Design: ...

    @classmethod
    def _restored(
        cls, question: Mapping[str, Any], design: Design, y: FloatArray | None, state: Mapping[str, Any]
    ) -> Self: ...


SomeFit = TypeVar("SomeFit", bound=Kept)


def save(fit: Kept, path: str | os.PathLike) -> None:
    """Write a fit to a file; see :meth:`glmmlib.models.results.MixedModelFit.save`."""
    check_file("path", path)
    data = to_bytes(content(fit))
    again = restored(type(fit), from_bytes(data, path), fit.design.recipe.functions)
    if again is None or not _is_same(fit, again):
        raise ModelError(
            "this fit cannot be saved, for its formula and rows do not lead back to it (a family of your "
            "own, or some of the rows of another fit): fit the model to these rows with lmer or glmer, and "
            "save that"
        )
    Path(path).write_bytes(data)


def content(fit: Kept) -> dict[str, Any]:
    """Return what the file of a fit holds."""
    design = fit.design
    return {
        "kind": fit.kind,
        "formula": fit.formula,
        "question": fit._question(),
        "functions": sorted(design.recipe.functions),
        "rows": packed_frame(design.data),
        "known": [[name, packed_frame(frame, f"known[{name!r}]")] for name, frame in design.known.items()],
        "new_response": design.y if fit.is_refit else None,
        "weights": design.weights,
        "offset": design.offset,
        "offset_argument": design.offset_argument,
        "n_missing": design.n_missing,
        "names": [list(fit.params.index), list(fit.theta.index)],
        "fixed": fit.solution.estimates.beta,
        "linear_predictor": fit.solution.linear_predictor(),
        "answer": fit.solution.state(),
    }


def restored(
    kind: type[SomeFit], found: Mapping[str, Any], functions: Mapping[str, Callable] | None
) -> SomeFit | None:
    """Return the fit that a file holds; None where formula and rows, read again, say something else.

    Raises
    ------
    ModelError
        Without the functions that the formula calls.
    """
    functions = checked_functions(functions)
    if missing := [name for name in found["functions"] if name not in functions]:
        raise ModelError(
            f"the formula calls {listed(missing)}, and a file holds no functions: hand over those of the "
            f"fit, functions={{{missing[0]!r}: {missing[0]}}}"
        )
    with one_blas_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # who fitted the model was told
        design = kind._read_design(
            found["question"],
            found["formula"],
            data=unpacked_frame(found["rows"]),
            weights=found["weights"],
            functions={name: functions[name] for name in found["functions"]},
            known={name: unpacked_frame(frame) for name, frame in found["known"]},
        )
        design = replace(
            design,
            offset=frozen(found["offset"]),
            offset_argument=found["offset_argument"],
            n_missing=found["n_missing"],
        )
        eta = found["linear_predictor"]
        if [len(eta), list(design.coef_names)] != [design.nobs, found["names"][0]]:
            return None
        fit = kind._restored(found["question"], design, frozen(found["new_response"]), found["answer"])
        solution = fit.solution
        fixed = fit.X @ (solution.estimates.beta - found["fixed"])
        away = np.abs([fixed, solution.linear_predictor() - eta]).max()
    if list(fit.theta.index) != found["names"][1] or not away <= SAME * (eta.std() or 1.0):
        return None
    fit.is_refit = found["new_response"] is not None
    return fit


def _is_same(fit: FittedModel, again: FittedModel) -> bool:
    """Does a fit that was read back say what was written?"""
    pairs = [
        (fit.design.y, again.design.y),
        (fit.design.X, again.design.X),
        (fit.solution.estimates.theta, again.solution.estimates.theta),
        (fit.solution.estimates.beta, again.solution.estimates.beta),
        (fit.solution.linear_predictor(), again.solution.linear_predictor()),
        *zip(fit.solution.modes, again.solution.modes, strict=True),
    ]
    return (
        fit.family == again.family
        and fit.deviance == again.deviance
        and all(np.array_equal(one, other) for one, other in pairs)
    )


def unpickled(kind: type[FittedModel], version: str) -> FittedModel:
    """Return an empty fit, which a pickle is about to fill.

    Raises
    ------
    ModelError
        For a pickle of another version.
    """
    if version != __version__:
        raise ModelError(
            f"this fit was pickled by glmmlib {version}, and this is glmmlib {__version__}: pickles hold "
            "within one version; open it with that one, and write it with fit.save(path), for gl.load_fit "
            "of any later one"
        )
    return kind.__new__(kind)
