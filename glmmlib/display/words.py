"""Words for messages and reports: lists, numbers of things, hints, and lines of at most 80 characters."""

import difflib
import textwrap
from collections.abc import Collection, Sequence
from typing import Any

WIDTH = 80


def listed(items: Sequence, limit: int = 6) -> str:
    """Join `items` for a message, at most `limit` of them.

    >>> listed(list("abcd"), 2)
    'a, b and 2 more'
    """
    shown = ", ".join(str(item) for item in items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"


def joined(items: Collection[str]) -> str:
    """Join `items` as an English list.

    >>> joined(["a"]), joined(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def counted(n: int, what: str) -> str:
    """Say how many.

    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def hint(near: Sequence[str]) -> str:
    """Return the hint at the first of `near`, in brackets, or nothing.

    >>> hint(["Days"]), hint([])
    (" (did you mean 'Days'?)", '')
    """
    return f" (did you mean {near[0]!r}?)" if near else ""


def did_you_mean(name: object, names: Collection[str]) -> str:
    """Return a hint at the nearest name, or the list of names.

    >>> did_you_mean("Dais", ["Days", "Subject"]), did_you_mean("x", ["Days", "Subject"])
    (" (did you mean 'Days'?)", ' (they are Days, Subject)')
    """
    known = [str(other) for other in names]
    return hint(difflib.get_close_matches(str(name), known, n=1)) or f" (they are {listed(known)})"


def meant(name: Any, names: Collection[Any]) -> Any:
    """Return the one of the names that `name` spells, with or without backticks; `name` itself for none.

    >>> meant("`my x`", ["my x", "g"]), meant("a:b", ["`a:b`"]), meant("z", ["x"])
    ('my x', '`a:b`', 'z')
    """
    if not isinstance(name, str) or name in names:
        return name
    bare = name.replace("`", "")
    same = [other for other in names if isinstance(other, str) and other.replace("`", "") == bare]
    return same[0] if len(same) == 1 else name


def identified(kind: str, value: float, shown: str) -> str:
    """Return the kind of a parameter and its value; without one, that too few effects have an SD.

    >>> identified("rho", 0.5, "0.5"), identified("rho", float("nan"), "nan")
    ('rho 0.5', 'rho not identified')
    """
    return f"{kind} not identified" if value != value else f"{kind} {shown}"


def sentence(text: str) -> str:
    """Return the text with a capital letter, unless it starts with the name of a parameter.

    >>> sentence("two rows were left out"), sentence("sigma: no upper end")
    ('Two rows were left out', 'sigma: no upper end')
    """
    is_name = text.startswith(("sd ", "corr ", "sigma:", "\x02"))
    return text if is_name else text[:1].upper() + text[1:]


def wrapped(text: str, label: str = "") -> str:
    """Wrap a text at 80 columns, the lines after the first indented by the length of the label (or by 4)."""
    return textwrap.fill(
        label + text,
        WIDTH,
        subsequent_indent=" " * (len(label) or 4),
        break_long_words=True,
        break_on_hyphens=False,
    )
