"""``gl.check``: one page that says whether a fit can be trusted, and where to look if not."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glmmlib import plots
from glmmlib.diagnostics.calibration import calibrate
from glmmlib.diagnostics.fit_lines import fit_lines
from glmmlib.diagnostics.residual_lines import residual_lines
from glmmlib.diagnostics.verdict import FINE, LOOK, PROBLEM, Line
from glmmlib.display.arguments import checked
from glmmlib.display.tables import Table, shortened
from glmmlib.display.words import WIDTH
from glmmlib.errors import GlmmlibError, ModelError
from glmmlib.fitted import FittedModel
from glmmlib.plots._axes import Axes
from glmmlib.prediction.simulate import require_generator

MIN_REFITS = 99


@dataclass(frozen=True, eq=False)
class Check:
    """The result of :func:`glmmlib.check`: ``print`` it, or let a notebook show it; ``plot()`` draws the
    residuals.

    Attributes
    ----------
    lines : tuple of Line
        Each with ``name``, ``verdict`` ("fine", "look" or "problem"), ``number``, ``shown`` (the number as
        printed), ``sentence``, and ``p`` where the verdict rests on a test.
    verdict : str
        The gravest verdict of all lines.
    table : DataFrame
        The lines: ``verdict``, ``number``, ``p`` and ``sentence``, indexed by name.
    fit : MixedModelFit
        What was checked.
    formula : str
    fitted : Series (nobs,)
        The fitted values that belong to ``values``.
    n : int
        Refits behind the p-values.
    values : Series (nobs,)
        Randomised quantile residuals given the conditional modes of the random effects; near uniform under
        the model.
    """

    lines: tuple
    formula: str
    n: int
    values: pd.Series = field(repr=False)
    fit: FittedModel = field(repr=False)

    @property
    def verdict(self) -> str:
        """The gravest verdict of all lines."""
        return max((line.verdict for line in self.lines), key=(FINE, LOOK, PROBLEM).index)

    @property
    def fitted(self) -> pd.Series:
        """The fitted values that belong to ``values``."""
        return self.fit.fittedvalues

    def __getitem__(self, name: str) -> Line:
        for line in self.lines:
            if line.name == name:
                return line
        raise KeyError(f"there is no line {name!r}; there are {', '.join(line.name for line in self.lines)}")

    @property
    def table(self) -> pd.DataFrame:
        """The lines as a DataFrame (verdict, number, p, sentence), indexed by name."""
        columns = {
            c: [getattr(line, c) for line in self.lines] for c in ("verdict", "number", "p", "sentence")
        }
        return pd.DataFrame(columns, index=pd.Index([line.name for line in self.lines], name="check"))

    def plot(self, ax: Axes | None = None) -> NDArray[Any]:
        """Draw the residuals; see :func:`glmmlib.plots.residual_panel`.

        Parameters
        ----------
        ax : array of three matplotlib Axes, optional

        Returns
        -------
        array of Axes

        Examples
        --------
        >>> import numpy as np, glmmlib as gl
        >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
        >>> len(gl.check(fit, rng=np.random.default_rng(1)).plot())
        3
        """
        return plots.residual_panel(self, ax=ax)

    def _heading(self) -> str:
        return f"Check of {shortened(self.formula, WIDTH - 9)}"

    def _footnote(self) -> str:
        tests = [line for line in self.lines if not np.isnan(line.p)]
        return (
            f"{len(tests)} of the verdicts are tests (p below 0.05: look; 0.01 or less: problem), "
            "calibrated by"
            f" {self.n} refits to simulated responses: even a right model has {0.05 * len(tests):.1f} of "
            "them below 0.05"
            " on average."
        )

    def __str__(self) -> str:
        name = max(len(line.name) for line in self.lines)
        number = max(len(line.shown) for line in self.lines)
        parts = [self._heading()]
        for line in self.lines:
            label = f"  {line.verdict:<7}  {line.name:<{name}}  {line.shown:>{number}}  "
            sentence = line.sentence.replace("p = ", "p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")
            parts.append(textwrap.fill(label + sentence, WIDTH, subsequent_indent=" " * len(label)))
        return "\n".join([*parts, textwrap.fill(self._footnote(), WIDTH)]).replace("\N{NO-BREAK SPACE}", " ")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = tuple((line.name, line.verdict, line.shown, line.sentence) for line in self.lines)
        table = Table(self._heading(), ("Check", "Verdict", "Number", "What it says"), rows, n_labels=4)
        return f'<div class="glmmlib">{table.to_html()}<p class="glmmlib-note">{self._footnote()}</p></div>'


@checked
def check(fit: FittedModel, n: int = 199, rng: np.random.Generator | int | None = None) -> Check:
    """Check a fit: estimation, distribution, pattern in the residuals, and influence of groups, one line
    each.

    ==================  =====================================================================================
    line                the number
    ==================  =====================================================================================
    convergence         decrease of -2 log L that one more step would bring
    singularity         smallest relative SD among the directions of the random effects
    scaling             ratio of the largest to the smallest SD of the columns of X (or another fault of X)
    quadrature          shift, in standard errors, that a finer integral would bring (generalised models)
    overdispersion      mean squared Pearson residual over that of the refits (Poisson, binomial with trials)
    equal spread        correlation of the size of residuals with the linear predictor (other families)
    zeros               their number, beside what the model expects (counts)
    outliers            largest normal score of a residual
    uniformity          Kolmogorov and Smirnov's D of the residuals
    curves              share of the residuals' variance along a quadratic and cubic of one covariate
    varying slopes      score statistic of a random slope not in the model, over its mean in the refits
    influence           largest change of a fixed effect, in SEs, when one group is left out
    ==================  =====================================================================================

    Parameters
    ----------
    fit : MixedModelFit
    n : int
        Refits to simulated responses, 99 or more, that calibrate the tests; a two-sided p of 0.01 needs 199.
    rng : numpy.random.Generator
        The source of randomness, always to be given.

    Returns
    -------
    Check

    Raises
    ------
    ModelError
        Without a Generator, or for fewer than 99 refits.

    Notes
    -----
    Residuals are randomised quantile residuals given the conditional modes. Because modes and parameters come
    from the same data, a plain test of their uniformity is far too kind; here every p-value is the rank of
    the statistic among those of `n` refits, each to a response drawn from the fit (parametric bootstrap), and
    so uniform under the model. Curves and slopes search through all covariates; their p-values allow for the
    search. What `varying slopes` finds, ``gl.anova(fit, fit.update(...))`` tests by the likelihood ratio.

    Where quadrature is possible, `quadrature` takes a Newton step with a finer rule. With crossed factors, or
    three and more random effects of one, it draws random effects around their mode and weighs them: the
    sentence gives the Monte Carlo error, and says where the draws cannot tell.

    The two can disagree. `curves` and `varying slopes` divide the pattern in the scores by the scatter that
    the scores have, so that overdispersion alone is not taken for a pattern. A likelihood ratio has the
    scatter that the family states: for overdispersed Poisson counts it finds random slopes that are not
    there. Mend `overdispersion` first.

    It costs `n` refits: a second or so where ``fit.refit_many`` makes them at once (one grouping factor), n
    times the time of the fit elsewhere, with a progress bar.

    A test says whether a fault is visible, not whether it matters: with 100,000 rows every model is visibly
    wrong. Read the number.

    References
    ----------
    Dunn and Smyth (1996), Randomized quantile residuals, *Journal of Computational and Graphical Statistics*
    5(3).

    Davison and Hinkley (1997), *Bootstrap Methods and their Application*, chapter 4.

    Examples
    --------
    >>> import numpy as np
    >>> import glmmlib as gl
    >>> fit = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    >>> page = gl.check(fit, rng=np.random.default_rng(1))
    >>> page["convergence"].verdict, page["varying slopes"].verdict
    ('fine', 'problem')
    >>> print(page["varying slopes"].sentence)
    the slopes of Days vary between levels of Subject more than the model allows (p = 0.005): try a random
    slope, and test it with gl.anova
    """
    rng = require_generator(rng)
    if not isinstance(n, int | np.integer) or n < MIN_REFITS:
        raise ModelError(
            f"n is the number of refits, {MIN_REFITS} or more, so that p-values can get small; not {n!r}"
        )
    try:
        calibration = calibrate(fit, int(n), rng)
    except (GlmmlibError, ArithmeticError, np.linalg.LinAlgError) as error:
        lines: tuple[Line, ...] = (_not_calibrated(error),)
        values = np.full(fit.nobs, np.nan)
    else:
        lines, values = residual_lines(fit, calibration), calibration.values
    start, end = fit_lines(fit, rng)
    return Check(
        (*start, *lines, *end), fit.formula, int(n), pd.Series(values, fit.design.index, name="residual"), fit
    )


def _not_calibrated(error: Exception):
    reason = str(error).splitlines()[0].rstrip(".")
    sentence = f"not looked at, because the model cannot be refitted to responses drawn from itself: {reason}"
    return Line("residuals", PROBLEM, np.nan, "", sentence)
