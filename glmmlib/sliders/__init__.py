"""Charts with sliders that work on a built page, with no kernel and no network.

Each chart is a Vega-Lite 5 specification whose formula the browser evaluates, made with Altair (an optional
dependency: ``pip install "glmmlib[book]"``). One file holds one chart, and is imported when it is first used.
Beside its `chart` stands a plain Python function with the same formula, and `shown`, the words that the chart
displays for given positions of the sliders; tests hold the three to each other.

=======================  ==============================================================================
chart                    what moves
=======================  ==============================================================================
`aic_and_p`              the p-value that a difference of AIC between nested models is
`boundary_test`          the null distribution of the test of a variance: chi-square, 50:50 mixture, exact
`effective_size`         how many independent members a group is worth, with ICC and design effect
`log_odds`               one step in log-odds, and what it does to probability and odds
`icc_curve`              the ICC along x, with the SDs of intercepts, slopes and residuals, and a correlation
`ml_and_reml`            the likelihood of ML and of REML for theta, by number and size of groups
`moving_zero`            the zero of x in a random-slope model: SD of intercepts, correlation, ICC
`overdispersion`         negative binomial counts beside Poisson counts of the same mean, and their zeros
`parallel_lines`         lines, points and their correlation as the two SDs of a random intercept move
`prior_of_sigma`         the posterior of the SD between groups, by its prior and the number of groups
`shrinkage_factor`       the share of its distance that a group keeps, by size and the two SDs
`slope_blend`            the random-intercept slope, between the slopes within and between groups
`spread_of_means`        the SD of raw and of partially pooled group means as groups grow
`study_precision`        what a planned random-slope study would know, by number and size of groups
`type_one_rate`          the pooled slope test as the predictor moves from between to within groups
`typical_and_average`    the chance in a typical group and the average over groups, as groups come to differ
=======================  ==============================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "aic_and_p",
    "boundary_test",
    "effective_size",
    "icc_curve",
    "log_odds",
    "ml_and_reml",
    "moving_zero",
    "overdispersion",
    "parallel_lines",
    "prior_of_sigma",
    "shrinkage_factor",
    "slope_blend",
    "spread_of_means",
    "study_precision",
    "type_one_rate",
    "typical_and_average",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"glmmlib.sliders._{name}").chart
    raise AttributeError(f"glmmlib.sliders has no chart {name!r}; there are {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return __all__
