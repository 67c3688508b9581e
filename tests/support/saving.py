"""Fits through a file and back."""

import numpy as np

import glmmlib as gl


def saved_and_loaded(fit, folder, **options):
    """Write a fit to a file in a folder, and return the fit that is read from it."""
    fit.save(folder / "a.fit")
    return gl.load_fit(folder / "a.fit", **options)


def assert_same(fit, again):
    """What two fits answer is the same to the last bit."""
    assert str(again.summary()) == str(fit.summary())
    assert again.model_text == fit.model_text and repr(again.convergence) == repr(fit.convergence)
    assert again.is_refit == fit.is_refit and again.design.n_missing == fit.design.n_missing
    assert again.design.data.equals(fit.design.data)
    for what in ("params", "bse", "theta", "fittedvalues", "resid_pearson", "resid_deviance"):
        np.testing.assert_array_equal(getattr(again, what), getattr(fit, what), what)
    assert [again.deviance, again.aic, again.bic] == [fit.deviance, fit.aic, fit.bic]
    for one, other in zip(again.conditional_covariances, fit.conditional_covariances, strict=True):
        np.testing.assert_array_equal(one, other)
    modes, wanted = again.ranef(cond_sd=True), fit.ranef(cond_sd=True)
    assert all(modes[name].equals(wanted[name]) for name in {**modes, **wanted})
    assert again.conf_int().equals(fit.conf_int())
    rng = np.random.default_rng
    np.testing.assert_array_equal(again.simulate(2, rng(1)), fit.simulate(2, rng(1)))
