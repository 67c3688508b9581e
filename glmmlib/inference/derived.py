"""Bootstrap of quantities that follow from design and parameters alone, such as the ICC and R2."""

import pandas as pd

from glmmlib.inference.bootstrap import Bootstrap, _check_count
from glmmlib.prediction.simulate import require_generator
from glmmlib.replicates.refits import refit_many
from glmmlib.replicates.views import view_at


def bootstrap_of(fit, function, n, rng):
    """Return the :class:`~glmmlib.inference.bootstrap.Bootstrap` of ``function(fit)``, a Series, over n
    refits to simulated responses.

    ``function`` is called with views of the fit at the refits' parameters, so that all refits can be made at
    once.
    """
    _check_count(n)
    estimates = function(fit)
    refits = refit_many(fit, fit.simulate(n, require_generator(rng)))
    rows = [function(view_at(fit, refits, r)).to_numpy() for r in range(n)]
    replicates = pd.DataFrame(rows, columns=estimates.index)
    return Bootstrap(estimates, replicates, int(refits.is_singular.sum()), fit.formula)
