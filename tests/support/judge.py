"""The judge: marginal likelihoods written out in full, and a patient search for their lowest point.

It shares no code with the library.  A model comes as plain arrays (:class:`Model`): response, X, and for each
random-effects term its level codes and columns.  Gradients are exact, the search starts from many sizes of
every term, and it ends with a simplex.  It takes up to a second a model, for tables of up to a hundred
rows.
"""

import numpy as np

from support.judge_laplace import LaplaceJudge
from support.judge_linear import LinearJudge
from support.judge_search import Model, Term, Verdict

__all__ = ["LaplaceJudge", "LinearJudge", "Model", "Term", "Verdict", "at_fit", "judge"]


def judge(model, seed=0, effort=1.0):
    """Return the :class:`Verdict` on a model: its objective at the lowest point of a search from many starts.

    ``effort`` scales the number of random starts and of descents; 0 is a first look (a grid and one descent).
    """
    return _judge_of(model).search(np.random.default_rng(seed), effort)


def at_fit(model, fit):
    """The judge's objective at the library's own estimates."""
    ZL = (fit.Z @ fit.Lambda).toarray()
    judge = _judge_of(model)
    if model.family is None:
        return judge.at_matrix(ZL * judge.root[:, None])
    return judge.at(fit.params.to_numpy(), ZL, None if fit.dispersion is None else np.log(fit.dispersion))


def _judge_of(model):
    return (LinearJudge if model.family is None else LaplaceJudge)(model)
