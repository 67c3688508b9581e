"""The course's colours: the same thing has the same colour in every figure.

Each colour is told apart from the others in the three common forms of colour blindness, and has a contrast of
3 : 1 or more against a white page. `IN_THE_DARK` holds the colour that takes its place on a dark page (slider
charts only; pictures keep their white ground). Matplotlib's style file `glmmlib/course.mplstyle` uses the
same values: ``plt.style.use("glmmlib.course")``.

The group colours are the "muted" scheme of Paul Tol's *Colour Schemes* (2021), the two accents are the blue
and the vermillion of Okabe and Ito's *Color Universal Design* (2008).
"""

from __future__ import annotations

DATA = "#7f7f7f"
POOLED = "#1a1a1a"
MODEL = "#0072b2"
TRUTH = "#d55e00"
GROUPS = (
    "#332288",
    "#44aa99",
    "#882255",
    "#999933",
    "#88ccee",
    "#117733",
    "#cc6677",
    "#aa4499",
    "#ddcc77",
)

IN_THE_DARK = {
    DATA: "#a6a6a6",
    POOLED: "#f2f2f2",
    MODEL: "#56b4e9",
    TRUTH: "#ff9d4d",
    "#332288": "#9c8cff",
    "#882255": "#e07bb0",
    "#117733": "#4fc17a",
}


def group_colours(n: int) -> list[str]:
    """Colours for `n` groups; beyond nine they repeat, for no eye tells more than nine apart.

    Parameters
    ----------
    n : int
        Number of groups.

    Returns
    -------
    list of str
        Hexadecimal colours, in the fixed order of `GROUPS`.

    Examples
    --------
    >>> group_colours(2)
    ['#332288', '#44aa99']
    """
    return [GROUPS[i % len(GROUPS)] for i in range(n)]
