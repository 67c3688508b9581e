"""What a mixed-model formula says: its response, its fixed effects, its random-effects terms, its offsets."""

from __future__ import annotations

from dataclasses import dataclass

from glmmlib.covariance.registry import STRUCTURES


@dataclass(frozen=True)
class RandomTerm:
    """One random-effects term, such as ``(Days | Subject)``.

    Attributes
    ----------
    text : str
        The term in canonical form: ``(1 + Days|Subject)`` reads ``(Days | Subject)``.
    lhs : str
        What varies between groups, as formulaic reads it: ``"1"``, ``"Days"``, ``"0 + Days"``.
    groups : tuple of str
        The columns whose combinations are the groups: ``("batch",)``, or ``("batch", "cask")``
        for ``batch:cask``; empty for ``1``, where all rows are one group.
    word : str
        The structure of the covariance, ``"us"``, ``"diag"``, ``"ar1"`` ...: what stands before the bracket,
        or what a plain bar (us) and a double one (diag) mean.
    options : tuple of (str, object)
        What else the word's brackets hold: ``(("hom", True),)``.
    """

    text: str
    lhs: str
    groups: tuple[str, ...]
    word: str = "us"
    options: tuple[tuple[str, object], ...] = ()

    @property
    def group(self) -> str:
        """Name of the grouping factor: ``"Subject"``, ``"batch:cask"``; of a curve its label."""
        return self.label if self.is_curve else ":".join(self.groups) or "1"

    @property
    def is_curve(self) -> bool:
        """Is it a smooth curve, ``s(x)``?"""
        return STRUCTURES[self.word].is_curve

    @property
    def label(self) -> str:
        """What the term is called among the parameters: ``"ar1(week)"``."""
        if self.is_curve:
            return self._of_curve(self.goes_by)
        return f"{self.word}({self.group if self.lhs == '1' else self.lhs.removeprefix('0 + ')})"

    @property
    def smoothed(self) -> str:
        """Of a curve: the column that it smooths."""
        options, what = dict(self.options), self.lhs.removeprefix("0 + ")
        return what.removesuffix(f" + {options['by']}") if "by" in options else what

    @property
    def goes_by(self) -> str:
        """Of a curve: the column of numbers, or the level of a factor, that multiplies it; or nothing."""
        options = dict(self.options)
        return str(options.get("level", options.get("by", "")))

    @property
    def written(self) -> str:
        """Of a curve: its label without the level of the factor by which it goes."""
        return self._of_curve(str(dict(self.options).get("by", "")))

    def _of_curve(self, by: str) -> str:
        return f"{self.word}({self.smoothed})" + (f":{by}" if by else "")

    @property
    def is_double(self) -> bool:
        """Is it written with a double bar?"""
        return self.text.startswith("(") and self.word == "diag"


@dataclass(frozen=True)
class Cbind:
    """A binomial response of two columns, ``cbind(successes, failures)``."""

    successes: str
    failures: str

    def __str__(self) -> str:
        return f"cbind({self.successes}, {self.failures})"


@dataclass(frozen=True)
class MixedFormula:
    """A mixed-model formula, split into its parts (all of them text).

    Attributes
    ----------
    text : str
        The formula as it was given.
    response : str or Cbind
        The left-hand side: ``"y"``, ``"log(y)"``, or a :class:`Cbind`.
    fixed : str
        The fixed effects, for formulaic: ``"Days"``, ``"0 + a*b"``; ``"1"`` when there are none.
    random : tuple of RandomTerm
        The random-effects terms in the order of the formula, nested ones written out.
        Empty for a formula without a bar.
    offsets : tuple of str
        The expressions inside ``offset(...)``.
    lines : tuple of str
        The straight lines about which the curves ``s(x)`` bend: ``"x"``.
    """

    text: str
    response: str | Cbind
    fixed: str
    random: tuple[RandomTerm, ...] = ()
    offsets: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def all_fixed(self) -> str:
        """The fixed effects with the straight lines of the curves."""
        return " + ".join([self.fixed, *self.lines])
