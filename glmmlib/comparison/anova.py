"""Analysis of variance: an F test for each term of one fit, or likelihood-ratio tests between several."""

import numpy as np

from glmmlib.comparison.lrt import LikelihoodRatioTests, likelihood_ratio_tests
from glmmlib.display.arguments import check_fit, checked
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel
from glmmlib.inference.term_tests import TermTests, term_tests


@checked
def anova(
    *fits: FittedModel,
    refit: bool = True,
    type: int = 3,
    ddf: str | None = None,
    bootstrap: int | None = None,
    rng: np.random.Generator | int | None = None,
) -> TermTests | LikelihoodRatioTests:
    """Test the terms of one fit, or nested fits against each other.

    Parameters
    ----------
    *fits : MixedModelFit
        One fit: an F test for each of its fixed-effects terms. Several: likelihood-ratio tests, each fit
        against the next larger one.
    refit : bool
        Several fits: refit REML fits by ML before they are compared (and say so). With False, REML fits are
        compared as they are, which needs equal fixed effects.
    type : {1, 2, 3}
        One fit: which hypotheses; see the module ``glmmlib.inference.term_tests``.
    ddf : {"satterthwaite", "kenward-roger", "z"}, optional
        One fit: as in :func:`coef_tests`.

    bootstrap : int, optional
        Several fits: simulate the null distribution of each test with so many responses drawn from the
        smaller model (see
        :func:`bootstrap_test`) in place of a table's.
    rng : numpy.random.Generator
        With `bootstrap`: the source of randomness.

    Returns
    -------
    TermTests or LikelihoodRatioTests
        Both print their null hypotheses and hold a DataFrame, ``table``.

    Raises
    ------
    ModelError
        With the reason, where a comparison would be invalid: see the module ``glmmlib.comparison.lrt``; or
        where empty cells leave the hypotheses of type III undefined.

    Examples
    --------
    >>> import glmmlib as gl
    >>> sleep = gl.load("sleepstudy")
    >>> gl.anova(gl.lmer("Reaction ~ Days + (Days | Subject)", sleep))
    F tests, Satterthwaite degrees of freedom
    Type III: each term after all others, averaged over other factors' levels
    H0: all coefficients that stand for the term are zero
      Term  df  df (den.)      F        p
      Days   1      17.00  45.85  < 0.001
    """
    if not fits:
        raise ModelError("anova needs a fit: anova(fit) tests its terms, anova(m0, m1) compares two")
    if len(fits) > 1 and (type != 3 or ddf is not None):
        raise ModelError("type= and ddf= belong to the tests of one fit's terms, anova(fit); leave them out")
    if len(fits) > 1:
        return likelihood_ratio_tests(fits, refit, bootstrap, rng)
    check_fit("the first argument", fits[0])
    if bootstrap is not None:
        raise ModelError("bootstrap= is for tests of one fit against another: hand over both")
    return term_tests(fits[0], type, ddf)
