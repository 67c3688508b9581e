"""Pictures of mixed models: axes in, axes out.  One file holds one picture, imported when it is first used.

=====================  ==========================================================
picture                what it shows
=====================  ==========================================================
`binned_share`         0/1 responses, and the share of ones along a covariate
`caterpillar`          conditional modes in order, with their intervals
`fan`                  lines of groups with a given correlation of intercepts and slopes
`group_scatter`        the data in grey, a few groups picked out in colour
`group_lines`          the line (or curve) of each group, and of a typical group
`group_strips`         each group's observations and mean, the smallest group first
`icc_curve`            the ICC along a covariate, with its bootstrap band
`ingredients`          one group through the four parts of a generalised mixed model
`likelihood_surface`   the likelihood over two variance parameters, and the optimiser's path
`own_lines`            the line of each group, fitted to that group alone
`power_map`            power (or another number) for each size of a study
`profile`              the profile likelihood of each parameter
`residual_panel`       quantile residuals: all, along the fitted values, along x
`residuals_by_group`   residuals, group by group
`shrinkage_arrows`     from each group's own estimate to its conditional mode
`simple_effect`        the effect of one variable in an interaction, at each value of the other
`smooth`               a smooth curve with its pointwise intervals, and where the data lie
`type_one_curve`       how often the pooled slope test rejects a true null
`variance_function`    the variance between groups, and in all, along a covariate
=====================  ==========================================================
"""

from importlib import import_module
from typing import Any

_FILES = {
    "binned_share": "binned_share",
    "caterpillar": "caterpillar",
    "fan": "fan",
    "group_lines": "group_lines",
    "group_scatter": "group_scatter",
    "group_strips": "group_strips",
    "icc_curve": "icc_curve",
    "ingredients": "ingredients",
    "likelihood_surface": "likelihood_surface",
    "own_lines": "own_lines",
    "power_map": "power_map",
    "profile": "profile",
    "residual_panel": "residual_panel",
    "residuals_by_group": "residuals_by_group",
    "shrinkage_arrows": "shrinkage_arrows",
    "simple_effect": "simple_effect",
    "smooth": "smooth",
    "type_one_curve": "type_one_curve",
    "variance_function": "variance_function",
}
__all__ = list(_FILES)


def __getattr__(name: str) -> Any:
    if name in _FILES:
        return getattr(import_module(f"glmmlib.plots._{_FILES[name]}"), name)
    raise AttributeError(f"glmmlib.plots has no picture {name!r}; there are {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return __all__
