"""Small tables for people: the same cells as text and as HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

from glmmlib.display.words import WIDTH, wrapped
from glmmlib.types import FloatArray


@dataclass(frozen=True)
class Table:
    """A table whose cells are already text.

    The first ``n_labels`` columns are labels (left-aligned, row headers in HTML), the others numbers.
    """

    caption: str
    header: tuple
    rows: tuple
    n_labels: int = 1

    def to_text(self, width: int = WIDTH) -> str:
        """Return lines of at most ``width`` characters; the longest label is shortened where they would not
        fit.
        """
        cells = [list(map(str, row)) for row in (self.header, *self.rows)]
        sizes = [max(len(row[i]) for row in cells) for i in range(len(self.header))]
        excess = sum(sizes) + 2 * len(sizes) - width
        if excess > 0:
            longest = max(range(self.n_labels), key=sizes.__getitem__)
            sizes[longest] = min(sizes[longest], max(8, sizes[longest] - excess))
        lines = []
        for row in cells:
            parts = [
                shortened(c, n).ljust(n) if i < self.n_labels else c.rjust(n)
                for i, (c, n) in enumerate(zip(row, sizes, strict=True))
            ]
            lines.append(("  " + "  ".join(parts)).rstrip())
        return "\n".join(([self.caption] if self.caption else []) + lines)

    def to_html(self) -> str:
        """Return a ``<table>`` with caption and header scopes, and classes in place of colours."""
        head = "".join(
            f'<th scope="col"{_class(i, self)}>{escape(h)}</th>' for i, h in enumerate(self.header)
        )
        body = "".join(
            f"<tr>{''.join(self._cell(i, c) for i, c in enumerate(row))}</tr>" for row in self.rows
        )
        return (
            f'<table class="glmmlib-table"><caption>{escape(self.caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _cell(self, i: int, text: object) -> str:
        text = escape(str(text))
        return f'<th scope="row">{text}</th>' if i == 0 else f"<td{_class(i, self)}>{text}</td>"


def text_with_notes(text: str, notes: Iterable[str]) -> str:
    """Return a printed table with notes below it."""
    return "\n".join([text, *(wrapped(note, "Note: ") for note in notes)])


def html_with_notes(html: str, notes: Iterable[str], label: str = "Note: ") -> str:
    """Return what a notebook shows: tables, and notes below them."""
    below = "".join(f'<p class="glmmlib-note">{escape(label + note)}</p>' for note in notes)
    return f'<div class="glmmlib">{html}{below}</div>'


def labels_of(index: pd.Index) -> list[list[str]]:
    """Return the labels of an index as texts, a list for each of its levels."""
    return [list(map(str, index.get_level_values(i))) for i in range(index.nlevels)]


def _class(i: int, table: Table) -> str:
    return "" if i < table.n_labels else ' class="glmmlib-number"'


def shortened(text: str, size: int) -> str:
    """Shorten a text in its middle.

    >>> shortened("period[T.2]:treatment", 12)
    'period…tment'
    """
    if len(text) <= size:
        return text
    left = size // 2
    return text[:left] + "…" + text[len(text) - (size - left - 1) :]


def aligned(
    values: Sequence[float] | FloatArray | pd.Series,
    precision: Sequence[float] | FloatArray | pd.Series | None = None,
) -> list[str]:
    """Write a column of numbers with one number of decimals: four significant digits of the finest.

    Parameters
    ----------
    values : sequence of float
        NaN becomes an empty cell.
    precision : sequence of float, optional
        Numbers that say how exact the values are (standard errors); by default the values.

    Examples
    --------
    >>> aligned([251.4051, 10.46729], precision=[6.8246, 1.5458])
    ['251.405', '10.467']
    """
    values = np.asarray(values, dtype=float)
    sizes = np.abs(np.asarray(values if precision is None else precision, dtype=float))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    largest = np.max(np.abs(values[np.isfinite(values)]), initial=0.0)
    decimals = int(np.clip(3 - np.floor(np.log10(sizes.min())), 0, 12)) if len(sizes) else 3
    if decimals > 6 or largest >= 1e9:
        return ["" if np.isnan(x) else f"{x:.4g}" for x in values]
    return ["" if np.isnan(x) else f"{x:.{decimals}f}" for x in values]


def fixed(values: Iterable[float], decimals: int) -> list[str]:
    """Write numbers with so many decimals; NaN becomes an empty cell and infinity its sign."""
    return ["" if np.isnan(x) else "∞" if np.isinf(x) else f"{x:.{decimals}f}" for x in map(float, values)]


def p_text(p: float) -> str:
    """Write one p-value.

    >>> p_text(0.0321), p_text(1e-9)
    ('0.032', '< 0.001')
    """
    return "" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
