"""Every registered family with each of its links, and data that it could have made: nothing here is named.

Means, spreads and auxiliary parameters follow from the support and the link; a new family needs no line.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd

import glmmlib as gl
from glmmlib.families.counts import NegativeBinomial, Poisson
from glmmlib.families.registry import ALL_FAMILIES, ZERO_INFLATED
from glmmlib.families.truncated import TruncatedPoisson

CASES = [(name, link.name) for name, chosen in ALL_FAMILIES.items() for link in chosen.links]
# Of the families with structural zeros a fit is looked at with one and with two auxiliary parameters, and
# with a hurdle; the others differ from these by the density of their counts alone.
FITTED = [c for c in CASES if ALL_FAMILIES[c[0]] not in ZERO_INFLATED.values()]
FITTED += [(ZERO_INFLATED[counts].name, "log") for counts in (Poisson, NegativeBinomial, TruncatedPoisson)]


@dataclass(frozen=True)
class Case:
    """A family with a link, with sensible parameters."""

    family: object

    @property
    def mean(self):
        """A mean, the inverse link of a linear predictor, well inside its range."""
        low, high = self.family.location_range
        return 1.0 if np.isinf(low) else 4.0 if np.isinf(high) else 0.4

    @property
    def trials(self):
        """Trials of each row where one alone would not tell the auxiliary parameter; else None."""
        return 12.0 if self.family.support.in_trials and self.family.auxiliary else None

    @cached_property
    def auxiliary(self):
        """The auxiliary parameter at which an observation's SD is nearest to a wanted one; a quarter for a
        probability. A number, an array of several, or None.
        """
        if not self.family.auxiliary:
            return None
        is_share = np.array([np.isfinite(auxiliary.range[1]) for auxiliary in self.family.auxiliary])
        upper = self.family.support.upper
        wanted = 0.25 if self.trials else 0.15 if upper == 1 else 0.7 * self.mean
        if self.family.support.is_ordered:
            wanted = 0.3 * (upper - self.family.support.lower)
        candidates = [np.where(is_share, 0.25, value) for value in np.geomspace(0.05, 50.0, 61)]
        candidates = candidates if is_share.size > 1 else [float(value[0]) for value in candidates]
        variances = [self.family.variance(self.mean, self.trials, value) for value in candidates]
        sd = np.sqrt([float(variance) for variance in variances])
        return candidates[np.argmin(np.abs(np.log(sd / wanted)))]

    def by_row(self, n):
        """The same for n rows, as a family takes several parameters."""
        own = self.auxiliary
        return own if own is None or np.ndim(own) == 0 else np.tile(own, (n, 1))

    def with_auxiliary(self, k, tau):
        """The auxiliary parameter, the k-th of several moved to tau on its link."""
        value = self.family.auxiliary[k].link.inverse(tau)
        own = self.auxiliary
        return value if np.ndim(own) == 0 else np.where(np.arange(len(own)) == k, value, own)

    @property
    def named_auxiliary(self):
        return dict(
            zip(
                (a.name for a in self.family.auxiliary),
                np.atleast_1d(self.auxiliary).tolist(),
                strict=bool(self.family.auxiliary),
            )
        )

    @property
    def eta(self):
        return float(self.family.link.link(self.mean))

    @property
    def spread(self):
        """An SD of the linear predictor that keeps it inside its range."""
        ends = [end for end in self.family.eta_range if np.isfinite(end)]
        return min([0.5, *(0.1 * abs(self.eta - end) for end in ends)])

    @property
    def grid(self):
        """Linear predictors from one side of the range to the other."""
        return self.eta + np.array([-4.0, -1.0, 0.0, 0.6, 3.0]) * self.spread

    def weights(self, n):
        """Trials, precisions, or how often a row counts."""
        return np.tile([2.0, 5.0, 7.0], n)[:n]

    def trials_of(self, rows):
        """The trials of rows (a number, or a table), as ``weights=`` takes them."""
        n = rows if isinstance(rows, int) else len(rows)
        return None if self.trials is None else np.full(n, self.trials)

    def draw(self, eta, weights, rng):
        return self.family.draw(np.asarray(eta, float), weights, self.auxiliary, rng)

    # --- a study ----------------------------------------------------------------------------------------

    @property
    def truth(self):
        fixef = {"Intercept": self.eta, "x": 0.6 * self.spread, "f[T.b]": -0.4 * self.spread}
        others = self.named_auxiliary
        if thresholds := self.family.thresholds(fixef["Intercept"], self.auxiliary):
            del fixef["Intercept"]
            others = {"thresholds": list(thresholds.values())}
        return {"fixef": fixef, "sd": {"g": self.spread}, **others}

    @property
    def data(self):
        """40 groups of 8 with a covariate and a factor, and a response."""
        rng = np.random.default_rng(20)
        g = np.repeat(np.arange(40), 8)
        data = pd.DataFrame({"g": g, "x": rng.uniform(-1, 1, g.size), "f": np.tile(list("ab"), g.size // 2)})
        y = self.simulated(data, rng)
        return data.assign(y=y) if self.trials is None else data.assign(y=y * self.trials, n=self.trials)

    @property
    def formula(self):
        return f"{'y' if self.trials is None else 'cbind(y, n - y)'} ~ x + f + (1 | g)"

    def simulated(self, data, rng, n=None):
        """Responses on the scale of their mean."""
        own = {"weights": self.trials_of(data), "n": n}
        return gl.simulate("~ x + f + (1 | g)", data, family=self.family, rng=rng, **own, **self.truth)

    @cached_property
    def fit(self):
        if self.family.is_linear:
            return gl.lmer(self.formula, self.data)
        return gl.glmer(self.formula, self.data, self.family)


@cache
def case(name, link):
    chosen = ALL_FAMILIES[name]
    found = chosen(next(candidate for candidate in chosen.links if candidate.name == link))
    return Case(found.with_levels(found.example_levels))
