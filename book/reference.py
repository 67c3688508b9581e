"""The library reference: what numpydoc and autodoc need to know, and the way from each entry into the
chapters.
"""

from __future__ import annotations

import re
from functools import cache, cached_property
from typing import Any

from numpydoc.docscrape_sphinx import SphinxDocString
from sphinx.application import Sphinx

from book.contents import chapters, read

# The classes of the reference, by the name that stands as a type in the docstrings.
CLASSES = {
    name: f"glmmlib.{module}.{name}"
    for module, names in {
        "models.results": "MixedModelFit",
        "models.auxiliary": "AuxiliaryParameters",
        "likelihood.solution": "Convergence Estimates",
        "models.linear_fit": "LinearMixedModelFit",
        "models.generalized_fit": "GeneralizedMixedModelFit",
        "families.base": "Family",
        "likelihood.separation": "Separation",
        "models.varcorr": "VarCorr GroupCovariance",
        "models.summary": "Summary",
        "replicates.refits": "Refits",
        "inference.bootstrap": "Bootstrap",
        "comparison.bootstrap_test": "BootstrapTest",
        "catalogue": "Truth",
        "variance.icc": "ICC",
        "variance.r2": "RSquared",
        "variance.shrinkage": "Shrinkage",
        "inference.term_tests": "TermTests",
        "comparison.lrt": "LikelihoodRatioTests",
        "comparison.exact_rlrt": "ExactTest",
        "inference.wald": "WaldTest",
        "inference.profile.profile": "Profile",
        "inference.means": "Means Differences",
        "inference.margins": "Comparisons",
        "inference.robust": "RobustTests",
        "comparison.compare": "Comparison",
        "comparison.conditional_aic": "ConditionalAIC",
        "bayes.result": "Posterior",
        "comparison.cross_validation": "CrossValidation",
        "diagnostics.check": "Check",
        "diagnostics.verdict": "Line",
        "diagnostics.residuals": "SimulatedResiduals ResidualTest",
        "diagnostics.influence": "Influence",
        "reporting.report": "Report",
        "sliders._slider": "Slider",
        "errors": "GlmmlibError FormulaError DataError ModelError GlmmlibWarning ConvergenceWarning"
        " QuadratureWarning RangeWarning RankDeficientWarning SeparationWarning SingularFitWarning",
    }.items()
    for name in names.split()
}
MOST = 4  # chapters named at an entry: the first that use the thing


def setup(app: Sphinx) -> None:
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.autosummary")
    app.setup_extension("numpydoc")
    app.connect("autodoc-process-signature", _leave_out_how_classes_are_made)
    # Priority 900: after numpydoc
    app.connect("config-inited", _name_types, priority=900)
    app.connect("autodoc-skip-member", _leave_out_properties)
    app.connect("autodoc-process-docstring", _lead_into_the_chapters, priority=900)


def _name_types(app: Sphinx, config: Any) -> None:
    """Link the types that the reference holds. Numpydoc's own list leads to Python's and NumPy's pages on the
    network.
    """
    config.numpydoc_xref_ignore = "all"  # not in _config.yml, where Sphinx takes no text for a set
    config.numpydoc_xref_aliases_complete = CLASSES


# A class describes its attributes in one table, with shapes and units: numpydoc would replace the
# descriptions by links to entries of their own, which properties do not have here.
_described = SphinxDocString._process_param
SphinxDocString._process_param = lambda self, name, description, linked: _described(
    self, name, description, False
)


def _leave_out_properties(app: Any, what: Any, name: Any, member: Any, skip: Any, options: Any):
    return True if isinstance(member, property | cached_property) else None


def _leave_out_how_classes_are_made(
    app: Any, what: Any, name: Any, obj: Any, options: Any, signature: Any, returns: Any
):
    """Fits and results are returned by functions, and no reader makes one."""
    return ("", None) if what in ("class", "exception") else None


def _lead_into_the_chapters(app: Sphinx, what: Any, name: Any, obj: Any, options: Any, lines: Any) -> None:
    """Add the chapters that use a function or a method, the first ones."""
    lines[:] = [_with_choices_as_code(line) for line in lines]
    if what not in ("function", "method"):
        return
    built = [page for page in chapters_with(name) if page in app.env.found_docs][:MOST]
    if built:
        lines += ["", ".. rubric:: In the course", "", ", ".join(f":doc:`/{page}`" for page in built), ""]


def _with_choices_as_code(line: str) -> str:
    """Set ``{"a", "b"}``, as the type of a parameter, in code: Sphinx would curl the quotation marks."""
    name, colon, choices = line.partition("** : {")
    return line if not colon else name + colon + re.sub(r'"[^"`]+"', r"``\g<0>``", choices)


def chapters_with(name: str) -> list[str]:
    """The chapters whose code calls what has this full name in the reference, in reading order.

    >>> chapters_with("glmmlib.sliders.moving_zero")
    ['chapters/08_random_slopes']
    """
    *_, owner, short = name.split(".")
    before = {"glmmlib": r"\bgl\.", "plots": r"\bplots\.", "sliders": r"\bsliders\."}.get(owner, r"\.")
    call = re.compile(before + short + r"\(")
    return [page for page, code in _code().items() if call.search(code)]


@cache
def _code() -> dict[str, str]:
    """The code of each chapter, by the name of its page."""
    return {
        f"chapters/{path.stem}": "\n".join(
            cell.source for cell in read(path).cells if cell.cell_type == "code"
        )
        for path in chapters()
    }
