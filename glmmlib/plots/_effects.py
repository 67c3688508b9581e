"""Which random effect of a fit a picture is about."""

from glmmlib.covariance.groups import refuse_curves
from glmmlib.errors import ModelError
from glmmlib.fitted import FittedModel


def one_effect(fit: FittedModel, group: str | None, effect: str | None) -> tuple[str, str]:
    """Return the names (group, effect), chosen where there is one, or say what there is to choose from."""
    if all(g.is_curve for g in fit.groups):
        refuse_curves(fit.groups, "a picture of groups")
    groups = {g.name: list(g.columns) for g in fit.groups if not g.is_curve}
    group = _choose(group, list(groups), "grouping factors", "group")
    return group, _choose(effect, groups[group], f"random effects of {group}", "effect")


def _choose(name, names, what, argument):
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return name
    found = f"there are several {what}" if name is None else f"{name!r} is not among the {what}"
    raise ModelError(f"{found}: choose one with {argument}=, of {', '.join(names)}")
