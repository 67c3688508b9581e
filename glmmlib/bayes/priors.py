r"""Distributions for priors, each a map from a standard normal score.

With :math:`F` the distribution function of a prior, a parameter is :math:`F^{-1}(\Phi(z))`, so that
:math:`z \sim N(0, 1)` a priori, whatever the prior. What is computed in z needs no bounds and no Jacobians:
the log posterior is the log-likelihood less :math:`z^2 / 2`, and a draw from the prior is a normal draw.
"""

from __future__ import annotations

import ast
import math
from abc import ABC, abstractmethod
from dataclasses import astuple, dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
from scipy import special as sp

from glmmlib.display.words import did_you_mean, joined
from glmmlib.errors import ModelError
from glmmlib.types import FloatArray, Numbers

FAR_LEFT = -5.0  # scores below: so near to zero that the density there is that at zero


@dataclass(frozen=True)
class Prior(ABC):
    """A distribution with positive parameters, but for a location.

    Attributes
    ----------
    word : str
        What a text calls it: ``"half_t"``.
    is_positive : bool
        Does it lie on the positive numbers?
    """

    word: ClassVar[str]
    is_positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or (value <= 0.0 and field.name != "location"):
                raise ModelError(
                    f"{field.name} of {self} is a finite{'' if field.name == 'location' else ', positive'} "
                    f"number, not {value:g}"
                )

    def __str__(self) -> str:
        return f"{self.word}({', '.join(f'{x:.4g}' for x in astuple(self))})"

    @abstractmethod
    def from_normal(self, z: FloatArray) -> FloatArray:
        """Return the parameter at normal scores."""

    @abstractmethod
    def to_normal(self, x: Numbers) -> Any:
        """The inverse of :meth:`from_normal`."""

    @abstractmethod
    def logpdf(self, x: Numbers) -> Any:
        """Return the log-density."""

    @abstractmethod
    def scaled(self, factor: float) -> Self:
        """Return the prior of the parameter times a factor (a location stays)."""


class LocationPrior(Prior):
    """A prior on the whole line: a normal one, or one whose variance is divided by a gamma variable.

    Attributes
    ----------
    location, scale : float
    mixing : Gamma or None
        Of the divisor.
    """

    location: float
    scale: float
    is_positive = False

    @property
    def mixing(self) -> Gamma | None:
        return None


@dataclass(frozen=True)
class Normal(LocationPrior):
    """Normal with a location and an SD."""

    location: float
    scale: float
    word = "normal"

    def from_normal(self, z: FloatArray) -> FloatArray:
        return self.location + self.scale * z

    def to_normal(self, x: Numbers) -> Any:
        return (x - self.location) / self.scale

    def logpdf(self, x: Numbers) -> Any:
        return _normal_logpdf((x - self.location) / self.scale) - math.log(self.scale)

    def scaled(self, factor: float) -> Self:
        return replace(self, scale=factor * self.scale)


@dataclass(frozen=True)
class StudentT(LocationPrior):
    """Student's t with degrees of freedom, a location and a scale."""

    df: float
    location: float
    scale: float
    word = "t"

    @property
    def mixing(self) -> Gamma | None:
        return Gamma(0.5 * self.df, 0.5 * self.df)

    def from_normal(self, z: FloatArray) -> FloatArray:
        return self.location - self.scale * np.sign(z) * sp.stdtrit(self.df, sp.ndtr(-np.abs(z)))

    def to_normal(self, x: Numbers) -> Any:
        t = (x - self.location) / self.scale
        return -np.sign(t) * sp.ndtri(sp.stdtr(self.df, -np.abs(t)))

    def logpdf(self, x: Numbers) -> Any:
        return _t_logpdf((x - self.location) / self.scale, self.df) - math.log(self.scale)

    def scaled(self, factor: float) -> Self:
        return replace(self, scale=factor * self.scale)


@dataclass(frozen=True)
class HalfNormal(Prior):
    """The absolute value of a normal variable."""

    scale: float
    word = "half_normal"

    def from_normal(self, z: FloatArray) -> FloatArray:
        near_zero = sp.ndtr(z) / np.exp(self.logpdf(0.0))
        return np.where(z < FAR_LEFT, near_zero, -self.scale * sp.ndtri_exp(sp.log_ndtr(-z) - math.log(2.0)))

    def to_normal(self, x: Numbers) -> Any:
        return -sp.ndtri_exp(math.log(2.0) + sp.log_ndtr(-np.asarray(x) / self.scale))

    def logpdf(self, x: Numbers) -> Any:
        return math.log(2.0 / self.scale) + _normal_logpdf(x / self.scale)

    def scaled(self, factor: float) -> Self:
        return replace(self, scale=factor * self.scale)


@dataclass(frozen=True)
class HalfT(Prior):
    """The absolute value of a t variable."""

    df: float
    scale: float
    word = "half_t"

    def from_normal(self, z: FloatArray) -> FloatArray:
        near_zero = sp.ndtr(z) / np.exp(self.logpdf(0.0))
        return np.where(z < FAR_LEFT, near_zero, -self.scale * sp.stdtrit(self.df, 0.5 * sp.ndtr(-z)))

    def to_normal(self, x: Numbers) -> Any:
        return -sp.ndtri(2.0 * sp.stdtr(self.df, -np.asarray(x) / self.scale))

    def logpdf(self, x: Numbers) -> Any:
        return math.log(2.0 / self.scale) + _t_logpdf(x / self.scale, self.df)

    def scaled(self, factor: float) -> Self:
        return replace(self, scale=factor * self.scale)


@dataclass(frozen=True)
class Exponential(Prior):
    """Exponential with a rate: the penalised complexity prior of an SD."""

    rate: float
    word = "exponential"

    def from_normal(self, z: FloatArray) -> FloatArray:
        return -sp.log_ndtr(-z) / self.rate

    def to_normal(self, x: Numbers) -> Any:
        return -sp.ndtri_exp(-self.rate * np.asarray(x, float))

    def logpdf(self, x: Numbers) -> Any:
        return math.log(self.rate) - self.rate * x

    def scaled(self, factor: float) -> Self:
        return replace(self, rate=self.rate / factor)


@dataclass(frozen=True)
class Gamma(Prior):
    """Gamma with a shape and a rate."""

    shape: float
    rate: float
    word = "gamma"

    def from_normal(self, z: FloatArray) -> FloatArray:
        left = sp.gammaincinv(self.shape, sp.ndtr(np.minimum(z, 0.0)))
        right = sp.gammainccinv(self.shape, sp.ndtr(-np.maximum(z, 0.0)))
        return np.where(z < 0.0, left, right) / self.rate

    def to_normal(self, x: Numbers) -> Any:
        s = np.asarray(x, float) * self.rate
        return np.where(
            s < self.shape, sp.ndtri(sp.gammainc(self.shape, s)), -sp.ndtri(sp.gammaincc(self.shape, s))
        )

    def logpdf(self, x: Numbers) -> Any:
        constant = self.shape * math.log(self.rate) - math.lgamma(self.shape)
        return constant + (self.shape - 1.0) * np.log(x) - self.rate * x

    def scaled(self, factor: float) -> Self:
        return replace(self, rate=self.rate / factor)


@dataclass(frozen=True)
class Lkj:
    r"""Correlation matrices with density :math:`|R|^{\eta - 1}` (Lewandowski, Kurowicka and Joe 2009).

    The partial correlation of effects i and j, given those before j, is symmetric beta on (-1, 1) and free of
    the others.
    """

    shape: float
    word: ClassVar[str] = "lkj"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.shape) and self.shape > 0.0):
            raise ModelError(f"the shape of lkj(shape) is a finite, positive number, not {self.shape:g}")

    def __str__(self) -> str:
        return f"lkj({self.shape:.4g})"

    def root(self, z: FloatArray, q: int) -> FloatArray:
        """Return the Cholesky factors (R, q, q) of correlation matrices at scores (R, q (q - 1) / 2)."""
        L = np.zeros((len(z), q, q))
        L[:, 0, 0] = 1.0
        k = 0
        for i in range(1, q):
            rest = np.ones(len(z))  # what the effects before leave of the i-th
            for j in range(i):
                partial, remainder = self._partial(z[:, k], self.shape + 0.5 * (q - 2 - j))
                L[:, i, j] = partial * rest
                rest, k = rest * remainder, k + 1
            L[:, i, i] = rest
        return L

    @staticmethod
    def _partial(z: FloatArray, shape: float) -> tuple[FloatArray, FloatArray]:
        """Return 2 B - 1, B being beta(shape, shape), and the root of what its square leaves of 1."""
        tail = sp.ndtr(-np.abs(z))
        if shape != 1.0:
            tail = sp.betaincinv(shape, shape, tail)
        return np.sign(z) * (1.0 - 2.0 * tail), 2.0 * np.sqrt(tail * (1.0 - tail))


PRIORS: dict[str, type[Prior]] = {
    p.word: p for p in (Normal, StudentT, HalfNormal, HalfT, Exponential, Gamma)
}
ABROAD = {
    "student_t": "t(df, location, scale)",
    "cauchy": "t(1, location, scale)",
    "half_cauchy": "half_t(1, scale)",
    "halfnormal": "half_normal(scale)",
    "half_student_t": "half_t(df, scale)",
}
IMPROPER = ("flat", "uniform", "improper", "half_flat", "jeffreys")


def parse_prior(text: Any, what: str, positive: bool) -> Any:
    """Read a prior such as ``"half_t(3, 2.5)"``.

    Parameters
    ----------
    text : str
    what : str
        Of which parameter, for messages.
    positive : bool
        Is the parameter an SD, or another one that is never negative?

    Raises
    ------
    ModelError

    Examples
    --------
    >>> parse_prior("half_t(3, 2.5)", "sd g.Intercept", positive=True)
    HalfT(df=3.0, scale=2.5)
    """
    known = {word: p for word, p in PRIORS.items() if p.is_positive == positive}
    word, numbers = _call(text, what, known)
    if word not in known:
        raise ModelError(_unknown(word, what, positive, list(known)))
    names = [field.name for field in fields(known[word])]
    if len(numbers) != len(names):
        raise ModelError(
            f"the prior of {what} is {word}({', '.join(names)}), so it needs {len(names)} numbers, and "
            f"{text!r} has {len(numbers)}"
        )
    return known[word](*numbers)


def parse_lkj(text: Any, what: str) -> Lkj:
    """Read the prior of a correlation matrix, such as ``"lkj(2)"``.

    >>> parse_lkj("lkj(2)", "the correlations of g")
    Lkj(shape=2.0)
    """
    word, numbers = _call(text, what, {"lkj": Lkj})
    if word != Lkj.word or len(numbers) != 1:
        raise ModelError(f"the prior of {what} is lkj(shape), such as 'lkj(2)', not {text!r}")
    return Lkj(numbers[0])


def _call(text: Any, what: str, known: Any) -> tuple[str, list[float]]:
    if not isinstance(text, str):
        raise ModelError(f"the prior of {what} is a text such as '{_example(known)}', not {text!r}")
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if isinstance(call, ast.Name):
            return call.id.lower(), []
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
            raise ValueError
        return call.func.id.lower(), [float(ast.literal_eval(argument)) for argument in call.args]
    except (SyntaxError, ValueError, TypeError):
        raise ModelError(
            f"the prior of {what} cannot be read: {text!r}; write a word and numbers, such as "
            f"'{_example(known)}'"
        ) from None


def _example(known: Any) -> str:
    return "lkj(2)" if "lkj" in known else "half_t(3, 2.5)" if "half_t" in known else "normal(0, 2.5)"


def _unknown(word: str, what: str, positive: bool, known: list[str]) -> str:
    if word in IMPROPER:
        return (
            f"the prior of {what} cannot be {word}: a prior without an end is no distribution, and the "
            f"posterior may be none either; a wide one says the same, such as "
            f"'{'half_t(3, 100)' if positive else 'normal(0, 100)'}'"
        )
    if word in ABROAD:
        return f"the prior of {what} is called {ABROAD[word]} here, not {word}"
    if word in PRIORS:
        ends = "is never negative" if positive else "may be negative"
        return f"{what} {ends}, so its prior is one of {joined(known)}, not {word}"
    return f"there is no prior {word!r} of {what}{did_you_mean(word, known)}"


def _normal_logpdf(z: Numbers) -> Any:
    return -0.5 * np.square(z) - 0.5 * math.log(2.0 * math.pi)


def _t_logpdf(t: Numbers, df: float) -> Any:
    constant = math.lgamma(0.5 * (df + 1.0)) - math.lgamma(0.5 * df) - 0.5 * math.log(df * math.pi)
    return constant - 0.5 * (df + 1.0) * np.log1p(np.square(t) / df)
