r"""The contract of a covariance structure: what a model asks of the random effects of one term.

The q effects of a level have the covariance :math:`\Sigma = \sigma^2 \Lambda \Lambda'`, and a structure says
how :math:`\Lambda` (q, q) follows from k parameters.  Nothing else in the package knows how: the likelihoods
ask for :meth:`CovarianceStructure.factor` and :meth:`CovarianceStructure.pullback`, the searches for starts
and for what is near the boundary, tests and profiles for coordinates.

A new structure is one file with a subclass, and one line in :mod:`glmmlib.covariance.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from glmmlib.covariance.factors import SINGULAR, smallest_singular_value, unit_scaled
from glmmlib.types import BoolArray, FloatArray, Numbers

COLLAPSED = 0.02  # a relative SD below this may sit at the stationary point zero, or be on its way there
NEAR_BOUNDARY = 0.01  # a relative SD, or a remainder, that may be zero but for rounding

WITHOUT_TERM = "leaving the term out gives the same estimates; keep it if the design of the study has it"


@dataclass(frozen=True)
class Quantity:
    """What one parameter stands for, as people read it.

    ``kind`` is ``"sd"``, ``"corr"``, ``"rho"`` or ``"range"``, ``target`` says of what (``"Days"``,
    ``"Days.Intercept"``, ``"ar1(week)"``), ``lower`` and ``upper`` are the ends of its range.
    """

    kind: str
    target: str
    lower: float
    upper: float


class CovarianceStructure(ABC):
    """The covariance of the q random effects of one term, as a function of k parameters.

    A structure sets ``word``, ``example``, ``invariance``, ``q``, ``n_parameters``, ``sizes`` and gives the
    methods that are abstract here. Where Lambda is linear in the parameters, :class:`LinearStructure` gives
    two of them. Where each parameter is a quantity of its own, `chart` and `held` are a line or two each, as
    in :mod:`glmmlib.covariance.multiple`, the shortest structure. No method warns.

    Arrays of parameters may have leading axes, ``(..., k)``, where a method says so.

    Attributes
    ----------
    q, n_parameters : int
    sizes : integer array
        Positions of the parameters at which zero is a stationary point, such as SDs.
    invariance : {"linear", "scaling", "none"}
        Which changes of the columns leave the family of covariances as it is: any (so that the algebra may
        work with orthogonal columns), one factor for each column, or one factor for all.
    word, example : str
        The word that names the structure in a formula, and a term with it: ``"ar1(0 + t | g)"``. The contract
        test fits it; it has numbers x, times t, their factor f, coordinates lon and lat, groups g, animals.
    left_side : {"effects", "times", "places", "levels", "curve"}
        What the left side of the bar tells: the columns of a model matrix, or one effect for each time, for
        each place, for each level of the grouping column; or the column of which they bend a curve.
    options : dict
        The names of what the word's brackets may hold beside the term, with the defaults.
    needs_repeats : bool
        Does each effect need more than one row, to be told from the residual?
    allows_quadrature : bool
        Is Lambda lower-triangular, its entries free? A grid of points has the coordinates of a triangle.
    has_free_correlations : bool
        Does each pair of effects have a correlation of its own?
    is_curve : bool
        Are the effects the bends of one curve, which new rows share, rather than draws for levels?
    is_linear : bool
        Is Lambda linear in the parameters, with the same :meth:`directions` everywhere? The fast paths for
        many responses need it.
    """

    word: ClassVar[str] = ""
    example: ClassVar[str] = ""
    left_side: ClassVar[str] = "effects"
    needs_repeats: ClassVar[bool] = False
    allows_quadrature: ClassVar[bool] = False
    options: ClassVar[dict] = {}
    invariance: str = "none"
    has_free_correlations: ClassVar[bool] = False
    is_linear: ClassVar[bool] = False
    is_curve: ClassVar[bool] = False
    q: int
    n_parameters: int
    sizes: np.ndarray

    @classmethod
    def of(cls, columns: Sequence[str], places: Any, **options: Any) -> Any:
        """Make the structure of a term.

        Parameters
        ----------
        columns : tuple of str
            Names of the effects.
        places : (q, d) array or None
            Their times or places, or a known covariance, as :attr:`left_side` has it.
        **options
            Those of :attr:`options` that are not at their default.

        Raises
        ------
        DataError, ModelError
        """
        make: Any = cls
        return make(len(columns), **options)

    @classmethod
    def count(cls, q: int, **options: Any) -> int:
        """Return how many parameters q effects have, or fewer: told before anything is made of them."""
        return 1

    # -- the map -----------------------------------------------------------------------------------------

    @abstractmethod
    def factor(self, par: FloatArray) -> FloatArray:
        """Return Lambda (..., q, q), any root of Sigma / sigma^2, for parameters (..., k)."""

    @abstractmethod
    def directions(self, par: FloatArray | None) -> FloatArray:
        """Return the derivatives of Lambda in each parameter: (k, q, q)."""

    def pullback(self, par: FloatArray, G: FloatArray) -> FloatArray:
        """Return the gradient (..., k) of ``<G, Lambda(par)>``, G (..., q, q) being held."""
        return np.einsum("kab,...ab->...k", self.directions(par), G)

    @abstractmethod
    def parameters(self, L: FloatArray) -> FloatArray:
        """Return the parameters (..., k) whose Lambda is nearest to L (..., q, q), as roots of ``L L'``."""

    def transformed(self, par: FloatArray, T: FloatArray) -> FloatArray:
        """Return the parameters (..., k) of ``T Lambda(par)``, T being as :attr:`invariance` allows it."""
        return self.parameters(T @ self.factor(par))

    # -- names -------------------------------------------------------------------------------------------

    @abstractmethod
    def names(self, columns: Sequence[str], label: str) -> tuple[str, ...]:
        """Return the names of the parameters, without that of the grouping factor.

        ``columns`` are the names of the effects, ``label`` that of the term, such as ``"ar1(week)"``.
        """

    @abstractmethod
    def quantities(self, columns: Sequence[str], label: str) -> tuple[Quantity, ...]:
        """Return the :class:`Quantity` for which each parameter stands."""

    @abstractmethod
    def values(self, par: FloatArray, scale: Numbers) -> FloatArray:
        """Return the values (..., k) of the quantities for parameters (..., k).

        SDs are multiplied by ``scale``, a number or an array of the leading shape.
        """

    # -- the search --------------------------------------------------------------------------------------

    @abstractmethod
    def start(self, variances: FloatArray | Sequence[FloatArray]) -> FloatArray:
        """Return first parameters (..., k) for variances (..., q) of the effects, relative to sigma^2."""

    def starts(self, variances: FloatArray) -> FloatArray:
        """Return the first parameters (s, k) from which a search should begin, the best guess first."""
        return self.start(variances)[None]

    def em_step(self, par: FloatArray, moment: FloatArray) -> FloatArray:
        """Return the parameters after a step of EM: ``Lambda <- Lambda chol(moment)``, moment (q, q)."""
        return self.parameters(self.factor(par) @ np.linalg.cholesky(moment))

    def collapsed(self, par: FloatArray) -> BoolArray:
        """Mark the parameters among :attr:`sizes` that are near zero: bool (..., k)."""
        found = np.zeros(np.shape(par), dtype=bool)
        found[..., self.sizes] = np.abs(par[..., self.sizes]) < COLLAPSED
        return found

    def rectified(self, par: FloatArray) -> FloatArray:
        """Return the equivalent parameters (k,) with the usual signs."""
        return par

    @abstractmethod
    def snapped(self, par: FloatArray) -> FloatArray:
        """Return parameters (k,) with what is nearly on the boundary exactly there, and usual signs."""

    def boundary_distance(self, par: FloatArray) -> FloatArray:
        """Return the smallest relative SD, or remainder after correlation: (...) for parameters (..., k)."""
        return smallest_singular_value(self.factor(par))

    def boundary_sentences(
        self, par: FloatArray, group: str, columns: Sequence[str], term: str
    ) -> Iterator[str]:
        """Yield a sentence for what is on the boundary; par (k,) in standardised columns."""
        if self.boundary_distance(par) < SINGULAR:
            yield f"the covariance of {term} between the levels of {group} is singular"

    @property
    def boundary_advice(self) -> str:
        """What to try where a parameter is on its boundary."""
        return "try a simpler structure"

    @property
    def phrase(self) -> str:
        """What a description of the methods says about the effects, or nothing where it is told elsewhere."""
        return ""

    # -- tests and intervals -----------------------------------------------------------------------------

    @abstractmethod
    def chart(self, par: FloatArray) -> Any:
        """Return the :class:`~glmmlib.covariance.tangent.Chart` of the parameters around a point."""

    @abstractmethod
    def held(self, k: int, par: FloatArray, to_user: FloatArray, scale: Numbers) -> Any:
        """Return coordinates of Lambda in which the k-th quantity is held.

        Parameters
        ----------
        k : int
        par : (k,) array
            Where the coordinates start.
        to_user : (q, q) array
            The user's effects are ``to_user`` times those that Lambda describes.
        scale : float
            SDs are multiplied by it.

        Returns
        -------
        object as in :mod:`glmmlib.covariance.coordinates`
        """

    def covariance_basis(self) -> FloatArray | None:
        """Return symmetric matrices (m, q, q) of which every Sigma is a combination; None if none are."""
        return None

    def missing_dimensions(self, Sigma: FloatArray) -> int:
        """Return how many dimensions a covariance matrix (q, q) of the family lacks, as on its boundary."""
        return int((np.linalg.eigvalsh(unit_scaled(Sigma)) < 1e-6).sum())

    def identifying_directions(self) -> FloatArray:
        """Return symmetric matrices (m, q, q): the directions in which Sigma moves at a typical point."""
        basis = self.covariance_basis()
        if basis is not None:
            return basis
        par = self.start(np.ones(self.q))
        D, L = self.directions(par), self.factor(par)
        half = D @ L.T
        return half + half.swapaxes(1, 2)

    def free_covariances(self) -> BoolArray:
        """Return which entries of Sigma may differ from zero: bool (q, q)."""
        return np.ones((self.q, self.q), dtype=bool)


class LinearStructure(CovarianceStructure):
    """A structure whose Lambda is a combination of constant matrices: ``Lambda = sum_k par_k D_k``."""

    is_linear = True
    D: np.ndarray

    def factor(self, par: FloatArray) -> FloatArray:
        return np.einsum("...k,kab->...ab", par, self.D)

    def directions(self, par: FloatArray | None) -> FloatArray:
        return self.D
