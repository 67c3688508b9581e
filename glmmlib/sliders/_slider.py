"""What all slider charts share: the object that Jupyter shows, the sliders, the look."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ParamSpec

from glmmlib.display.arguments import check_number, is_list
from glmmlib.errors import ModelError
from glmmlib.palette import POOLED

MIME = "application/vnd.vegalite.v5+json"
P = ParamSpec("P")
TINY = 1e-9  # no step of a slider, and squared no number to divide by
WIDTH = 560  # pixels, in JupyterLab


@dataclass(frozen=True)
class Slider:
    """A chart with sliders, as Jupyter and the built page show it.

    Attributes
    ----------
    spec : dict
        The Vega-Lite 5 specification.
    description : str
        What the chart shows, in words, for a reader who does not see it.
    """

    spec: dict[str, Any] = field(repr=False)
    description: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        if (
            "google.colab" in sys.modules
        ):  # Colab does not draw Vega-Lite; it shows a page that loads the drawing code
            return {
                "text/html": altair().Chart.from_dict(self.spec).to_html(),
                "text/plain": self.description,
            }
        return {MIME: self.spec, "text/plain": self.description}


def altair() -> Any:
    """Import Altair, or say how to get it."""
    try:
        with grammar_of_addresses_when_asked():
            import altair
    except ImportError as error:
        raise ImportError('Slider charts need Altair 5: pip install "glmmlib[book]".') from error
    if not altair.SCHEMA_VERSION.startswith("v5"):
        raise ImportError(
            f"Slider charts need Altair 5 (Vega-Lite v5), found Altair {altair.__version__}: "
            'pip install "altair>=5.5,<6".'
        )
    return altair


ADDRESSES = "rfc3987_syntax"


@contextmanager
def grammar_of_addresses_when_asked() -> Iterator[None]:
    """Let jsonschema, which Altair imports, load `rfc3987_syntax` when an address is checked, not before.

    That package compiles three grammars when it is imported: more than a second, and no chart has an address
    to check. What jsonschema gets instead loads the package at its first call, and answers the same.
    """
    if {ADDRESSES, "jsonschema"} & sys.modules.keys() or find_spec(ADDRESSES) is None:
        yield
        return

    def is_valid_syntax(term: str, value: str) -> bool:
        return bool(importlib.import_module(ADDRESSES).is_valid_syntax(term, value))

    sys.modules[ADDRESSES] = later = ModuleType(ADDRESSES)
    later.__dict__["is_valid_syntax"] = is_valid_syntax
    try:
        yield
    finally:
        if sys.modules.get(ADDRESSES) is later:
            del sys.modules[ADDRESSES]


def started(chart: Callable[P, Slider]) -> Callable[P, Slider]:
    """Let a chart check that the values at which its sliders start are numbers."""
    signature = inspect.signature(chart)

    @functools.wraps(chart)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Slider:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if not str(signature.parameters[name].annotation).startswith("tuple"):
                check_number(name, value)
            elif not is_list(value) or len(value) != 2:
                raise ModelError(f"{name} is a pair of numbers, such as (1.0, 0.5)")
            else:
                for one in value:
                    check_number(f"each of {name}", one)
        return chart(*args, **kwargs)

    return wrapper


def slider(name: str, label: str, value: float, low: float, high: float, step: float) -> Any:
    """An Altair parameter with a range input: `name` in formulas, `label` beside the input.

    Raises
    ------
    ModelError
        For a start beyond its ends.
    """
    if not low <= value <= high or 0.0 < abs(value) < TINY:
        raise ModelError(
            f"the slider {label.strip()!r} goes from {low:g} to {high:g} in steps of {step:g}: it cannot "
            f"start at {value:g}"
        )
    alt = altair()
    return alt.param(name=name, value=value, bind=alt.binding_range(min=low, max=high, step=step, name=label))


def row_of_data(**fields: Any) -> Any:
    """An Altair chart of one row of data, to which formulas add what they compute."""
    alt = altair()
    return alt.Chart(alt.InlineData([fields]))


def written(
    chart: Any,
    line: int,
    x: Any,
    y: Any,
    *,
    align: str,
    top: int = 10,
    gap: int = 20,
    colour: str | None = None,
) -> Any:
    """The field ``words`` of `chart`, bold, as the given line of several below each other beside (x, y)."""
    style = {"align": align, "dx": {"left": 6, "right": -4}[align], "dy": top + gap * line}
    colours = {} if colour is None else {"color": colour}
    return chart.mark_text(**style, fontWeight="bold", **colours).encode(x=x, y=y, text="words:N")


def finish(chart: Any, name: str, title: str, description: str, height: int = 280) -> Slider:
    """Give `chart` the course's look, the `name` of its module, and wrap it.

    The width is a number, which the built page exchanges for its own: in JupyterLab a chart that follows its
    container resizes without end and hangs the tab. A colour that belongs to the course's palette is
    exchanged for its partner when the page is dark; axes and text take the page's own colours there.
    """
    alt = altair()
    spec = (
        chart.properties(
            title=alt.Title(title, anchor="start", frame="group", fontSize=15, offset=12),
            description=description,
            width=WIDTH,
            height=height,
            usermeta={"slider": name},
        )
        .configure(
            background="transparent",
            padding={"left": 5, "right": 12, "top": 5, "bottom": 5},
            view={"stroke": None},
            axis={"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal", "gridOpacity": 0.4},
            legend={"labelFontSize": 12, "titleFontSize": 12},
            text={"fontSize": 14, "color": POOLED},
        )
        .to_dict()
    )
    return Slider(spec, description)
