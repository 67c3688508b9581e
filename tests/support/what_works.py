"""What works with what: every room with every kind of model, and the page of the book that tells it.

python tests/support/what_works.py      writes chapters/reference_what_works.md anew.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import glmmlib as gl
from glmmlib.errors import GlmmlibError, GlmmlibWarning
from support import reference_values as reference

PAGE = Path(__file__).resolve().parents[2] / "chapters" / "reference_what_works.md"


def _sleep():
    data = gl.load("sleepstudy")
    data = data[data["Subject"].isin(sorted(data["Subject"].unique())[:8])]
    return data.assign(z=np.sin(np.arange(len(data))))


KINDS: dict[str, Callable[[], Any]] = {
    "slopes": lambda: gl.lmer("Reaction ~ Days + (Days | Subject)", _sleep()),
    "crossed": lambda: gl.lmer("y ~ x + (1 | plate) + (1 | sample)", _crossed()),
    "`residual=`": lambda: gl.lmer(
        "Reaction ~ Days + (1 | Subject)", _sleep(), residual="ar1(Days | Subject)"
    ),
    "`sigma=`": lambda: gl.lmer("Reaction ~ Days + (1 | Subject)", _sleep(), sigma="~ Days"),
    "`s(x)`": lambda: gl.lmer("Reaction ~ z + s(Days, k=5) + (1 | Subject)", _sleep()),
    "`cs`, `ar1` ...": lambda: gl.lmer("Reaction ~ Days + cs(Days | Subject)", _sleep()),
    "`glmer`": lambda: gl.glmer("beetles ~ shade + (1 | site)", _traps(), family="poisson"),
    "`n_agq=`, nested": lambda: gl.glmer(
        "beetles ~ shade + (1 | region / site)", _regions(), family="poisson", n_agq=2
    ),
    "`zi=`": lambda: gl.glmer("beetles ~ shade + (1 | site)", _traps(), family="poisson", zi="~ 1"),
    "ordinal": lambda: gl.glmer("rating ~ x + (1 | judge)", _wine(), family="ordinal"),
    "`dispersion=`": lambda: gl.glmer(
        "beetles ~ shade + (1 | site)", _traps(), family="negbinomial", dispersion="~ shade"
    ),
}


def _crossed():
    rng = np.random.default_rng(1)
    data = gl.load("Penicillin").rename(columns={"diameter": "y"})
    return data[data["plate"].isin(sorted(data["plate"].unique())[:8])].assign(
        x=lambda d: rng.normal(size=len(d))
    )


def _wine():
    return reference.data("wine").assign(
        rating=lambda d: d["rating"].astype(int), x=lambda d: (d["temp"] == "warm") * 1.0
    )


def _traps():
    data = reference.data("traps")
    return data[data["site"].isin(sorted(data["site"].unique())[:12])]


def _regions():
    return _traps().assign(region=lambda d: np.unique(d["site"], return_inverse=True)[1] // 3)


def _covariate(fit):
    return next(name for name in ("z", "Days", "shade", "x") if name in fit.params)


def _saved(fit):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "one.fit")
        fit.save(path)
        return gl.load_fit(path)


ROOMS: dict[str, Callable[[Any], Any]] = {
    "`predict`": lambda f: f.predict(f.design.data.iloc[:2]),
    "`predict`, new groups on average": lambda f: f.predict(re_form="marginal"),
    "`predict(interval=)`": lambda f: f.predict(interval="prediction"),
    "`simulate`": lambda f: f.simulate(2, rng=1),
    "`simulate(newdata=)`": lambda f: f.simulate(rng=1, newdata=f.design.data.iloc[:4]),
    "`refit_many`": lambda f: f.refit_many(f.simulate(2, rng=1)),
    "`bootstrap`": lambda f: f.bootstrap(2, rng=1),
    "`profile`": lambda f: gl.profile(f, _covariate(f), level=0.5),
    "`wald_test`": lambda f: gl.wald_test(f, np.eye(len(f.params))[-1]),
    "`robust`": gl.robust,
    "`anova` of terms": gl.anova,
    "`anova` of two fits": lambda f: gl.anova(f, f.update("~ . - " + _covariate(f))),
    "`exact_rlrt`": lambda f: gl.exact_rlrt(f, n=100, rng=1),
    "`means`": lambda f: gl.means(f, _covariate(f), at={_covariate(f): [0.0, 1.0]}),
    "`comparisons`, `slopes`": lambda f: gl.slopes(f, _covariate(f)),
    "`icc`": gl.icc,
    "`r2`": gl.r2,
    "`shrinkage`": lambda f: gl.shrinkage(f, f.groups[0].name),
    "`conditional_aic`": gl.conditional_aic,
    "`cross_validate`": lambda f: gl.cross_validate(f, next(iter(f.ngroups)), n_folds=2, rng=1),
    "`simulated_residuals`": lambda f: gl.simulated_residuals(f, n=20, rng=1),
    "`influence`": lambda f: gl.influence(f, n_refits=1),
    "`semivariogram`": lambda f: gl.semivariogram(f, _covariate(f)),
    "`report`": gl.report,
    "`tidy`, `glance`, `augment`": lambda f: (gl.tidy(f), gl.glance(f), gl.augment(f)),
    "`update`": lambda f: f.update("~ . - " + _covariate(f)),
    "pickle": lambda f: pickle.loads(pickle.dumps(f)),
    "`save`": _saved,
}


def cell(fit: Any, room: Callable[[Any], Any]) -> str:
    """Return "" if a room works with a fit, else the sentence of its refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GlmmlibWarning)
            room(fit)
    except GlmmlibError as error:
        return str(error)
    return ""


def found() -> dict[str, dict[str, str]]:
    """Return the sentence of each refusal, by room and kind; "" where it works."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GlmmlibWarning)
        fits = {kind: make() for kind, make in KINDS.items()}
    return {name: {kind: cell(fit, room) for kind, fit in fits.items()} for name, room in ROOMS.items()}


def page(table: dict[str, dict[str, str]]) -> str:
    """Return the page: a table of yes and numbers, and the sentence for each number."""
    numbers: dict[str, int] = {}
    for cells in table.values():
        for sentence in cells.values():
            if sentence:
                numbers.setdefault(sentence, len(numbers) + 1)
    lines = [
        "# What works with what",
        "",
        'Every kind of model beside everything that takes a fit: "yes", or the number of the sentence below',
        "with which it is refused. A test runs each cell and compares it with this page.",
        "",
        "| Room | " + " | ".join(KINDS) + " |",
        "|---" * (len(KINDS) + 1) + "|",
    ]
    for name, cells in table.items():
        marks = (f"{numbers[s]}" if s else "yes" for s in cells.values())
        lines.append(f"| {name} | " + " | ".join(marks) + " |")
    lines += ["", "## The refusals", ""]
    lines += [f"{k}. {escaped(sentence)}" for sentence, k in numbers.items()]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    for sign in "\\`*_<>|~$[]":
        text = text.replace(sign, "\\" + sign)
    return text[:1].upper() + text[1:] + "."


if __name__ == "__main__":
    PAGE.write_text(page(found()), encoding="utf-8")
