"""Arguments checked by kind: what was given, and what is taken instead.

Public functions wear :func:`checked`. A parameter's name says its kind everywhere, so one table serves all;
where the name says nothing, a plain type hint does.
"""

from __future__ import annotations

import functools
import inspect
import numbers
import os
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

import numpy as np

from glmmlib.display.words import did_you_mean
from glmmlib.errors import ModelError

LARGEST = 2**63 - 1  # what arrays count to

P = ParamSpec("P")
R = TypeVar("R")


def checked_level(level: Any, example: float = 0.95, name: str = "level") -> float:
    """Return the level of an interval: a probability between 0 and 1.

    Raises
    ------
    ModelError

    Examples
    --------
    >>> checked_level(0.9)
    0.9
    """
    if not is_finite(level) or not 0.0 < float(level) < 1.0:
        raise ModelError(f"{name} is a probability between 0 and 1, such as {example}, not {_shown(level)}")
    return float(level)


@runtime_checkable
class _Fit(Protocol):
    """What :func:`glmmlib.lmer` and :func:`glmmlib.glmer` return has at least these."""

    design: Any
    solution: Any


def check_fit(name: str, value: Any) -> None:
    """Refuse what is no fitted mixed model."""
    if isinstance(value, type) or not isinstance(value, _Fit):
        raise ModelError(f"{name} is a fit, as gl.lmer and gl.glmer return it, not {_shown(value)}")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False: a text is true whatever it says."""
    if not isinstance(value, bool | np.bool_):
        raise ModelError(f"{name} is True or False, not {_shown(value)}")


def check_count(name: str, value: Any) -> None:
    """Refuse what is no whole number from 0 on."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 0:
        raise ModelError(f"{name} is a whole number, not {_shown(value)}")


def check_whole(name: str, value: Any) -> None:
    """Refuse what is no whole number, or one beyond 64 bits; the function itself knows its range."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise ModelError(f"{name} is a whole number, not {_shown(value)}")
    if abs(int(value)) > LARGEST:
        raise ModelError(f"{name} is a whole number of at most 19 digits, and this one has more")


def check_from_one(name: str, value: Any) -> None:
    """Refuse what is no whole number from 1 on."""
    check_whole(name, value)
    if value < 1:
        raise ModelError(f"{name} is a whole number from 1 on, not {_shown(value)}")


def check_text(name: str, value: Any) -> None:
    """Refuse what is no text."""
    if not isinstance(value, str):
        raise ModelError(f"{name} is a text, in quotes, not {_shown(value)}")


def check_number(name: str, value: Any) -> None:
    """Refuse what is no finite number."""
    if not is_finite(value):
        raise ModelError(f"{name} is a number, not {_shown(value)}")


def is_finite(value: Any) -> bool:
    """Tell whether a value is one finite number; True and False are none."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool | np.bool_):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except OverflowError:
        return False


def check_positive(name: str, value: Any) -> None:
    """Refuse what is no finite number above 0."""
    if not is_finite(value) or value <= 0:
        raise ModelError(f"{name} is a number above 0, not {_shown(value)}")


def check_file(name: str, value: Any) -> None:
    """Refuse what cannot be the name of a file."""
    is_name = isinstance(value, str | os.PathLike) and "\0" not in str(value)
    if not is_name or not str(value) or os.path.isdir(value):
        what = "a folder" if is_name and str(value) else _shown(value)
        raise ModelError(f"{name} is the name of a file, such as 'fit.glmm', not {what}")


def check_axes(name: str, value: Any) -> None:
    """Refuse what nobody can draw in."""
    if not (hasattr(value, "plot") and hasattr(value, "get_figure") and hasattr(value, "axvline")):
        raise ModelError(
            f"{name} is one Axes of Matplotlib, such as fig, ax = plt.subplots() makes, not {_shown(value)}"
        )


def check_label(name: str, value: Any) -> None:
    """Refuse what cannot be the name of a column, group or parameter."""
    if not isinstance(value, str):
        raise ModelError(f"{name} is a name, in quotes, not {_shown(value)}")


def is_list(value: Any) -> bool:
    """Tell whether a value is a list of things of any kind: no text, dict, set or table."""
    return isinstance(value, list | tuple | range) or (hasattr(value, "__array__") and np.ndim(value) == 1)


def check_labels(name: str, value: Any) -> None:
    """Refuse what is neither a name nor a list of names."""
    names = [value] if isinstance(value, str) else value
    if not is_list(names):
        raise ModelError(f"{name} is a name or a list of names, not {_shown(value)}")
    for one in names:
        if not isinstance(one, str):
            raise ModelError(f"{name} is a name or a list of names; {_shown(one)} is none")


def check_table(name: str, value: Any) -> None:
    """Refuse what is no DataFrame."""
    if not hasattr(value, "pivot") or not hasattr(value, "columns"):
        raise ModelError(f"{name} is a DataFrame, not {_shown(value)}")


def check_function(name: str, value: Any) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        raise ModelError(f"{name} is a function of a fit, not {_shown(value)}")


def check_choice(name: str, value: Any) -> None:
    """Refuse what cannot be looked up among choices; the function itself knows them."""
    if not isinstance(value, Hashable) or not _is_itself(value):
        raise ModelError(f"{name} is one of its choices, not {_shown(value)}")


def _is_itself(value):
    """Can a value be compared? A missing value of pandas cannot."""
    try:
        return isinstance(value == value, bool | np.bool_)
    except (TypeError, ValueError):
        return False


def check_rng(name: str, value: Any) -> None:
    """Refuse what NumPy makes no Generator of; a function that needs one refuses None itself."""
    try:
        if value is not None:
            if isinstance(value, bool | str):
                raise TypeError
            np.random.default_rng(value)
    except (TypeError, ValueError):
        raise ModelError(
            "random draws need a numpy Generator or a seed, so that they can be repeated: pass "
            f"{name}=np.random.default_rng(1) or {name}=1, not {value!r}"
        ) from None


def check_columns(data: Any, **names: str) -> None:
    """Refuse the name of a column that the data do not have."""
    check_table("data", data)
    for what, name in names.items():
        if name not in data:
            there = did_you_mean(name, [c for c in data if isinstance(c, str)])
            raise ModelError(f"{what} is a column of the data; there is no {name!r}{there}")
        if np.ndim(data[name]) != 1:
            raise ModelError(f"{what} is one column of the data, and several are called {name!r}")


def check_formula(name: str, value: Any) -> None:
    """Refuse what is no text."""
    if not isinstance(value, str):
        raise ModelError(
            f"{name} is a text such as 'y ~ x + (1 | group)', not {_shown(value)}; it comes before the data"
        )


def _check_level(name: str, value: Any) -> None:
    checked_level(value, name=name)


#: Hints of parameters that take a name: an ``x`` may be values too.
TEXT = (str, str | None, "str", "str | None", inspect.Parameter.empty)

#: The kind of a parameter by its name.
KINDS: dict[str, Callable[[str, Any], None]] = {
    "fit": check_fit,
    "level": _check_level,
    "wanted": _check_level,
    "alpha": _check_level,
    "ax": check_axes,
    "parm": check_labels,
    "by": check_labels,
    "effects": check_labels,
    "rng": check_rng,
    **dict.fromkeys(("group", "effect", "x", "y"), check_label),
    "statistic": check_function,
    "formula": check_formula,
    "n_refits": check_count,
    "bins": check_from_one,
    "max_distance": check_positive,
    "table": check_table,
    **dict.fromkeys(("slope", "intercept"), check_number),
    **dict.fromkeys(
        (
            "cond_sd",
            "error_sd",
            "conditional",
            "refit",
            "reml",
            "allow_new_levels",
            "warn",
            "labels",
            "conf_int",
        ),
        check_flag,
    ),
    **dict.fromkeys(
        (
            "method",
            "kind",
            "ddf",
            "type",
            "scale",
            "interval",
            "adjust",
            "family",
            "link",
            "na_action",
            "change",
            "re_form",
        ),
        check_choice,
    ),
}

#: Of these the functions that take them say more than a type hint could.
OWN_SENTENCES = frozenset({"exact", "dispersion", "zi", "residual", "sigma", "n_agq"})

#: The kind of a parameter whose name is not above by its type hint.
HINTS: dict[str, Callable[[str, Any], None]] = {
    "bool": check_flag,
    "int": check_whole,
    "float": check_number,
    "str": check_text,
    "str | Sequence[str]": check_labels,
}

#: What R's packages call an argument, and what it is called here.
R_SPELLINGS = {
    "REML": "reml",
    "nAGQ": "n_agq",
    "ziformula": "zi",
    "dispformula": "dispersion",
    "re_formula": "re_form",
    "nsim": "n",
    "seed": "rng",
    "conf_level": "level",
    "use_u": "conditional",
    "condVar": "cond_sd",
    "postVar": "cond_sd",
    "se_fit": "interval='confidence'",
    "new_data": "newdata",
    "na_rm": "na_action",
    "B": "n",
    "nboot": "n",
    "tests": "ddf",
    "test": "ddf",
    "object": "fit",
    "model": "fit",
    "FUN": "statistic",
    "contrasts": "C(x, contr.sum) in the formula",
    "prior": "fixef",
    "prior_intercept": "fixef={'Intercept': ...}",
    "prior_covariance": "sd and corr",
    "prior_aux": "sigma or dispersion",
    "iter": "draws",
    "chains": "nothing: the draws are independent",
    "cores": "nothing: the draws take a moment",
    "control": "nothing: the search needs no options",
    "start": "nothing: the search needs no start",
    "subset": "rows of the data, data[...]",
}

#: Arguments of one fitting function that the other has not, and what to do.
OTHERS = {
    "lmer": {
        **dict.fromkeys(
            ("family", "link", "n_agq", "nAGQ"), "a response that is not normal is fitted by gl.glmer"
        ),
        **dict.fromkeys(("zi", "ziformula"), "structural zeros are those of counts, fitted by gl.glmer"),
        **dict.fromkeys(("dispersion", "dispformula"), "residual SDs that differ are sigma='~ x' here"),
        **dict.fromkeys(("correlation", "autocor"), "write residual='ar1(time | id)'"),
    },
    "glmer": {
        **dict.fromkeys(("reml", "REML"), "generalised models are fitted by maximum likelihood"),
        "residual": "only a linear model has residuals that can be correlated: write a random term, such as "
        "ar1(0 + time | id)",
        "sigma": "a dispersion that differs between rows is dispersion='~ x' here",
    },
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function check its arguments by kind before it begins.

    An argument of None stands for itself where that is the default. An argument that R would have is answered
    with its name here.

    Examples
    --------
    >>> @checked
    ... def half(fit, level=0.95): return level / 2
    >>> half("no fit")
    Traceback (most recent call last):
        ...
    glmmlib.errors.ModelError: fit is a fit, as gl.lmer and gl.glmer return it, not 'no fit'
    """
    signature = inspect.signature(function)
    kinds = {name: kind for name, p in signature.parameters.items() if (kind := _kind(p)) is not None}
    default = {name: parameter.default for name, parameter in signature.parameters.items()}
    takes_more = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        others = OTHERS.get(function.__name__, {})
        for name in kwargs:
            if name in others and name not in signature.parameters:
                raise ModelError(f"{function.__name__} has no argument {name!r}: {others[name]}")
        foreign = [k for k in kwargs if k in R_SPELLINGS and k not in signature.parameters]
        if foreign and not takes_more:
            name, here = foreign[0], R_SPELLINGS[foreign[0]]
            raise ModelError(f"{function.__name__} has no argument {name!r}; what R calls so is {here} here")
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # Python says itself what is missing or too many
        for name, check in kinds.items():
            if name in given and not (given[name] is None and default[name] is None):
                check(name, given[name])
        return function(*args, **kwargs)

    return wrapper


def _kind(parameter):
    hint = parameter.annotation
    kind = KINDS.get(parameter.name)
    if kind is not None and (kind is not check_label or hint in TEXT):
        return kind
    if parameter.name in OWN_SENTENCES:
        return None
    text = hint if isinstance(hint, str) else inspect.formatannotation(hint)
    return HINTS.get(text.removesuffix(" | None").replace("collections.abc.", ""))


def _shown(value: Any) -> str:
    """Show a value in a message, briefly."""
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"a {type(value).__name__}"
