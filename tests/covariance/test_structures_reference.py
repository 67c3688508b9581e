"""Structured covariances against glmmTMB, nlme and lme4 (tests/reference/make_structures.R)."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from support import reference_values as rv

REFERENCE = rv.extra("structures")


def factor_of_times(name, column, new):
    table = rv.data(name)
    return table.assign(**{new: table[column].astype("category")})


def relationships():
    """The numerator relationship matrix, parents before offspring."""
    pedigree = rv.data("pedigree")
    place = {animal: i for i, animal in enumerate(pedigree["animal"])}
    A = np.zeros((len(place), len(place)))
    for i, (sire, dam) in enumerate(zip(pedigree["sire"], pedigree["dam"], strict=True)):
        known = [place[parent] for parent in (sire, dam) if parent]
        A[i, :i] = A[:i, i] = 0.5 * sum(A[parent, :i] for parent in known)
        A[i, i] = 1.0 + (0.5 * A[known[0], known[1]] if len(known) == 2 else 0.0)
    return pd.DataFrame(A, list(place), list(place))


def orthodont():
    return factor_of_times("Orthodont", "age", "fage")


def series():
    return factor_of_times("series", "t", "tf")


SOIL, OATS, PLACES = "ph_change ~ fertiliser", "yield ~ nitro + Variety", "conc ~ cover"
MODELS = {
    "ar1_orthodont": ("distance ~ age + ar1(0 + fage | Subject)", orthodont),
    "ar1_series": ("y ~ dose + t + ar1(0 + tf | g)", series),
    "ar1_series_poisson": ("count ~ dose + t + ar1(0 + tf | g)", series),
    "ar1_series_binomial": ("yes ~ dose + ar1(0 + tf | g)", series),
    "cs_soil": (f"{SOIL} + cs(0 + fertiliser | site)", lambda: rv.data("soil_pH")),
    "diag_soil": (f"{SOIL} + diag(0 + fertiliser | site)", lambda: rv.data("soil_pH")),
    "homcs_soil": (f"{SOIL} + cs(0 + fertiliser | site, hom=True)", lambda: rv.data("soil_pH")),
    "homdiag_soil": (f"{SOIL} + diag(0 + fertiliser | site, hom=True)", lambda: rv.data("soil_pH")),
    "homcs_oats": (f"{OATS} + cs(0 + Variety | Block, hom=True)", lambda: rv.data("Oats")),
    "cs_oats": (f"{OATS} + cs(0 + Variety | Block)", lambda: rv.data("Oats")),
    "exp_places": (f"{PLACES} + exp(lon + lat | 1)", lambda: rv.data("places")),
    "exp_places_poisson": ("count ~ cover + exp(lon + lat | 1)", lambda: rv.data("places")),
    "mat_places": (f"{PLACES} + mat(lon + lat | 1)", lambda: rv.data("places")),
    "animal": ("y ~ year + known(1 | animal, cov='A')", lambda: rv.data("pedigree_records")),
    "animal_permanent": (
        "y ~ year + known(1 | animal, cov='A') + (1 | animal)",
        lambda: rv.data("pedigree_records"),
    ),
}


def fitted(name):
    ref = REFERENCE[name]
    formula, data = MODELS.get(name) or MODELS[name.removesuffix("_ml").removesuffix("_reml")]
    known = {"A": relationships()} if "known(" in formula else None
    if name.endswith(("_poisson", "_binomial")):
        return ref, gl.glmer(formula, data(), family=name.rsplit("_", 1)[1], known=known)
    return ref, gl.lmer(formula, data(), reml=ref["REML"], known=known)


@pytest.mark.parametrize("name", REFERENCE)
def test_deviance_and_estimates_are_those_of_r(name):
    ref, fit = fitted(name)
    assert fit.deviance == pytest.approx(ref["deviance"], abs=2e-6)
    np.testing.assert_allclose(fit.params, ref["estimate"], rtol=1e-4, atol=1e-4)
    if "se" in ref:
        np.testing.assert_allclose(fit.bse, ref["se"], rtol=1e-4)
    if "sigma" in ref:
        assert fit.sigma == pytest.approx(ref["sigma"], rel=2e-4)
    components = [c for g in fit.varcorr.values() for c in g.components]
    np.testing.assert_allclose([c.sd for c in components], ref["sd"], rtol=1e-3)
    for kind in ("rho", "range"):
        if kind in ref:
            assert components[0].shared[kind] == pytest.approx(ref[kind], rel=1e-3)


@pytest.mark.parametrize("name", ["animal_reml", "animal_permanent_reml"])
def test_breeding_values_are_those_of_r(name):
    ref, fit = fitted(name)
    table = fit.ranef()["known(animal)"]
    np.testing.assert_allclose(table.loc[ref["animals"]].iloc[:, 0], ref["modes"], rtol=1e-3, atol=1e-3)


def test_the_proof_that_a_structure_is_one_file():
    """First-order autoregression of Orthodont, as glmmTMB has it."""
    fit = gl.lmer("distance ~ age + ar1(0 + fage | Subject)", orthodont(), reml=False)
    (term,) = fit.varcorr["Subject"].components
    found = fit.deviance, term.sd, term.shared["rho"], fit.sigma
    assert found == pytest.approx((442.58590, 2.16258, 0.95450, 1.29160), abs=6e-6)
