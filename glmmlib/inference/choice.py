"""Which of the named parameters are asked for."""

from collections.abc import Collection, Iterable

from glmmlib.display.arguments import check_choice, is_list
from glmmlib.display.words import did_you_mean
from glmmlib.errors import ModelError


def chosen(parm: str | Iterable[str] | None, names: Collection[str], refusal: str) -> list[str]:
    """Return the names asked for, in their order; all of them for None.

    Parameters
    ----------
    parm : str or list of str, optional
    names : collection of str
        Those that there are.
    refusal : str
        The sentence about another one, with the places ``{name}`` and ``{hint}``.

    Raises
    ------
    ModelError

    Examples
    --------
    >>> chosen("Days", ["Intercept", "Days"], "no {name}{hint}")
    ['Days']
    """
    wanted = list(names) if parm is None else [parm] if isinstance(parm, str) else parm
    if not is_list(wanted):
        raise ModelError(f"parm is a name or a list of names, not a {type(wanted).__name__}")
    wanted = list(wanted)
    for name in wanted:  # of a statistic they may be numbers
        check_choice("parm", name)
    for name in wanted:
        if name not in names:
            raise ModelError(refusal.format(name=repr(name), hint=did_you_mean(name, names)))
    return wanted
