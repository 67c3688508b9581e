r"""Likelihood-ratio tests between nested mixed models.

Twice the difference of the log-likelihoods is chi-square with as many degrees of freedom as there are
parameters more, *if* the smaller model is an interior point of the larger one. A variance of zero is not: it
sits on the edge. Which case holds is read off the covariance matrices that the smaller model has when written
as the larger one:

- all positive definite (more fixed effects, or correlations only): :math:`\chi^2_d`;
- one of them of rank one less than full, as when one variance is zero, alone or with its q correlations:
  :math:`\frac12 \chi^2_{d-1} + \frac12 \chi^2_d`;
- a probability of structural zeros that is zero, one for all rows: likewise, with one dimension less;
- more than one dimension missing: no table holds; use a parametric bootstrap.

Self and Liang (1987), *Journal of the American Statistical Association* 82; Stram and Lee (1994),
*Biometrics* 50.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from glmmlib.comparison.bootstrap_test import bootstrap_test
from glmmlib.comparison.nesting import Step, check_comparable, nested_step, one_criterion
from glmmlib.display.tables import Table, fixed, p_text
from glmmlib.display.words import wrapped
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel


@dataclass(frozen=True, eq=False)
class LikelihoodRatioTests:
    """The result of ``anova(m0, m1, ...)``.

    Attributes
    ----------
    table : DataFrame
        One row for each fit, by number of parameters: ``npar``, ``aic``, ``bic``, ``llf``, ``deviance``; and
        for the test against the row before ``chisq``, ``df``, ``p`` (by the distribution that holds; NaN
        where no table does) and ``p_naive`` (by chi-square with df degrees of freedom, whether or not it
        holds; NaN with two or more variances).
    formulas : dict of str to str
    hypotheses, distributions : dict of str to str
        For each test, H0 in words and the null distribution used.
    criterion : {"ML", "REML"}
    refitted : bool
        Were REML fits refitted by ML?
    """

    table: pd.DataFrame
    formulas: dict
    hypotheses: dict
    distributions: dict
    criterion: str
    refitted: bool

    def _heading(self) -> str:
        title = f"Likelihood-ratio tests ({self.criterion})"
        return title + (": models fitted by REML were refitted by ML" if self.refitted else "")

    def _table(self) -> pd.DataFrame:
        t = self.table
        columns = [
            t.index,
            fixed(t["npar"], 0),
            fixed(t["aic"], 2),
            fixed(t["bic"], 2),
            fixed(t["llf"], 3),
            fixed(t["chisq"], 3),
            fixed(t["df"], 0),
            map(p_text, t["p"]),
            map(p_text, t["p_naive"]),
        ]
        header = ("", "npar", "AIC", "BIC", "log L", "chi2", "df", "p", "naive p")
        return Table("", header, tuple(zip(*columns, strict=True)))

    def _notes(self):
        for name, hypothesis in self.hypotheses.items():
            yield f"{name}: H0: {hypothesis}; null distribution: {self.distributions[name]}"

    def __str__(self) -> str:
        lines = [self._heading(), *(wrapped(f"{name}: {text}") for name, text in self.formulas.items())]
        return "\n".join([*lines, self._table().to_text(), *map(wrapped, self._notes())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = self._table()
        models = "".join(f"<li>{n}: <code>{escape(text)}</code></li>" for n, text in self.formulas.items())
        notes = "".join(f"<li>{escape(note)}</li>" for note in self._notes())
        html = Table(self._heading(), table.header, table.rows).to_html()
        return f'<div class="glmmlib"><ul>{models}</ul>{html}<ul>{notes}</ul></div>'


def likelihood_ratio_tests(
    fits: Sequence[FittedModel],
    refit: bool = True,
    bootstrap: int | None = None,
    rng: np.random.Generator | int | None = None,
) -> LikelihoodRatioTests:
    """Compare nested fits by their likelihoods; see :func:`glmmlib.anova`."""
    check_comparable(fits)
    fits, criterion, refitted = one_criterion(fits, refit)
    fits = sorted(fits, key=lambda fit: fit.n_parameters)
    names = [f"m{i}" for i in range(len(fits))]
    rows = [
        {
            "npar": f.n_parameters,
            "aic": f.aic,
            "bic": f.bic,
            "llf": f.llf,
            "deviance": f.deviance,
            "chisq": np.nan,
            "df": np.nan,
            "p": np.nan,
            "p_naive": np.nan,
        }
        for f in fits
    ]
    hypotheses, distributions = {}, {}
    for i, (m0, m1) in enumerate(pairwise(fits), 1):
        step = nested_step(m0, m1, criterion == "REML")
        chisq = m0.deviance - m1.deviance
        _check_is_larger_than_its_error(chisq, m0, m1)
        p, p_naive, distribution = null_distribution(chisq, step)
        if bootstrap is not None:
            p, distribution = _simulated(m0, m1, bootstrap, rng)
        rows[i] |= {"chisq": chisq, "df": step.df, "p": p, "p_naive": p_naive}
        hypotheses[names[i]], distributions[names[i]] = step.hypothesis, distribution
    formulas = {name: f.model_text for name, f in zip(names, fits, strict=True)}
    return LikelihoodRatioTests(
        pd.DataFrame(rows, names), formulas, hypotheses, distributions, criterion, refitted
    )


def _check_is_larger_than_its_error(chisq: float, m0: FittedModel, m1: FittedModel) -> None:
    """Refuse a difference of deviances that their Monte Carlo errors alone may make."""
    error = float(np.hypot(m0.solution.deviance_error, m1.solution.deviance_error))
    if error > 0 and abs(chisq) < 2.0 * error:
        raise ModelError(
            f"the deviances of {m0.formula!r} and {m1.formula!r} differ by {chisq:.2g}, which iterative fits "
            f"know with a Monte Carlo error of {error:.2g}: compare fits made with exact=True"
        )


def _simulated(m0, m1, n, rng):
    test = bootstrap_test(m0, m1, n, rng, refit=False)
    return (
        test.p,
        f"simulated, from {n} responses drawn from the smaller model (p has a standard error of "
        f"{test.p_error:.2g})",
    )


def null_distribution(chisq: float, step: Step) -> tuple[float, float, str]:
    """Return p, the naive p and the name of the null distribution."""
    if chisq < -1e-4:
        return np.nan, np.nan, "none, because the larger model fits worse: it has not converged"
    chisq, d = max(chisq, 0.0), step.df
    naive = float(chdtrc(d, chisq))
    if step.unknown:
        how = "use a parametric bootstrap (bootstrap=1000, rng=)"
        return np.nan, naive, f"not in any table, because {step.unknown}; {how}"
    if step.missing == 0:
        return naive, naive, f"chi2({d})"
    if step.missing == 1:
        smaller = float(chdtrc(d - 1, chisq)) if d > 1 else float(chisq <= 0)
        return 0.5 * smaller + 0.5 * naive, naive, f"0.5 chi2({d - 1}) + 0.5 chi2({d})"
    return (
        np.nan,
        np.nan,
        "not in any table, because two or more variances are zero under H0; use a parametric bootstrap "
        "(bootstrap=1000, rng=)",
    )
