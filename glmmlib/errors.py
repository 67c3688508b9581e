"""Errors and warnings: few, named, and one clear sentence each.

Every error is a :class:`GlmmlibError`, which is a ``ValueError``, so that code which catches
``ValueError`` goes on working. A message says what was found, where, and what to try.
"""

from __future__ import annotations


class GlmmlibError(ValueError):
    """Base class of every error that glmmlib raises on purpose."""


class FormulaError(GlmmlibError):
    """A formula that cannot be read.

    Parameters
    ----------
    message : str
        What is wrong and what to write instead.
    text : str, optional
        The formula.
    position : int, optional
        Index in `text` of the character at fault.

    Examples
    --------
    >>> print(FormulaError("put the term in parentheses: (1 | g)", "y ~ 1 | g", 6))
    put the term in parentheses: (1 | g)
        y ~ 1 | g
              ^
    """

    def __init__(self, message: str, text: str = "", position: int | None = None) -> None:
        super().__init__(message, text, position)
        self.message = message
        self.text = text
        self.position = position

    def __str__(self) -> str:
        if not self.text:
            return self.message
        lines = [self.message, "    " + "".join(" " if c.isspace() else c for c in self.text)]
        if self.position is not None:
            lines.append("    " + " " * self.position + "^")
        return "\n".join(lines)


class DataError(GlmmlibError):
    """Data that do not fit the formula: a missing column, an infinite value, an unseen level."""


class ModelError(GlmmlibError):
    """A model or a comparison that makes no sense, although formula and data are sound."""


class GlmmlibWarning(UserWarning):
    """Base class of every warning, so that one filter can reach them all."""


class ConvergenceWarning(GlmmlibWarning):
    """The optimiser stopped before the gradient vanished."""


class QuadratureWarning(GlmmlibWarning):
    """More quadrature points would change the answer."""


class RangeWarning(GlmmlibWarning):
    """A linear predictor lies outside the range of its link, so there is no mean."""


class RankDeficientWarning(GlmmlibWarning):
    """Columns of the fixed effects repeat others and were left out, by name."""


class SeparationWarning(GlmmlibWarning):
    """A combination of predictors separates the binary responses, so an estimate is infinite."""


class SingularFitWarning(GlmmlibWarning):
    """A variance is estimated as zero, or a correlation as plus or minus one."""
