"""Bootstrap, power and whatever joblib carries: right numbers, the same wherever they are computed."""

import io
import sys

import joblib
import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.errors import ModelError
from glmmlib.planning.power import _study
from glmmlib.replicates import parallel

pytestmark = pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")


def rng(seed=1):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def sleep():
    return gl.lmer("Reaction ~ Days + (Days | Subject)", gl.load("sleepstudy"))


@pytest.fixture(scope="module")
def cbpp():
    return gl.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", gl.load("cbpp"), family="binomial"
    )


@pytest.fixture(scope="module")
def crossed():
    data = pd.DataFrame({"a": np.repeat(np.arange(8), 12), "b": np.tile(np.arange(6), 16)})
    data["y"] = gl.simulate(
        "~ 1 + (1 | a) + (1 | b)", data, fixef=[1.0], sd={"a": 1, "b": 0.7}, sigma=1, rng=rng()
    )
    return gl.lmer("y ~ 1 + (1 | a) + (1 | b)", data)


def ratio(fit):
    """At the top level, so that it can be sent to another process."""
    return {"ratio": fit.varcorr["a"].sd.iloc[0] / fit.sigma}


# --- bootstrap ------------------------------------------------------------------------------------


def test_names_and_estimates_are_those_of_the_profile(sleep, cbpp):
    for fit in (sleep, cbpp):
        boot = fit.bootstrap(50, rng=rng())
        assert list(boot.replicates) == list(boot.estimates.index) == list(gl.profile(fit, level=0.5).curves)
    assert sleep.bootstrap(50, rng=rng()).estimates["corr Subject.Days.Intercept"] == pytest.approx(
        sleep.varcorr["Subject"].corr.iloc[0, 1]
    )


def test_replicates_are_refits_of_simulated_responses(sleep):
    boot = sleep.bootstrap(5, rng=rng(3))
    single = sleep.refit(sleep.simulate(5, rng(3))[:, 4])
    np.testing.assert_allclose(
        boot.replicates.loc[4, ["Intercept", "Days"]].astype(float), single.params, rtol=1e-6
    )
    assert boot.replicates.loc[4, "sd Subject.Days"] == pytest.approx(
        single.varcorr["Subject"].sd["Days"], rel=1e-4
    )


def test_intervals_are_quantiles_and_their_mirror_images(sleep):
    boot = sleep.bootstrap(200, rng=rng())
    percentile, basic = boot.conf_int(0.9), boot.conf_int(0.9, kind="basic")
    np.testing.assert_allclose(percentile.loc["sigma"], np.quantile(boot.replicates["sigma"], [0.05, 0.95]))
    np.testing.assert_allclose(basic["lower"], 2 * boot.estimates - percentile["upper"])
    by_method = sleep.conf_int(0.9, "bootstrap", parm="sigma", n=200, rng=rng())
    np.testing.assert_allclose(by_method, percentile.loc[["sigma"]])


def test_standard_errors_agree_with_those_of_the_fit(sleep):
    boot = sleep.bootstrap(1000, rng=rng())
    np.testing.assert_allclose(boot.se[["Intercept", "Days"]], sleep.bse, rtol=0.1)


def test_a_statistic_gets_the_fit_to_each_response(sleep):
    boot = sleep.bootstrap(10, lambda fit: fit.varcorr["Subject"].sd, rng=rng())
    table = sleep.bootstrap(10, rng=rng()).replicates
    np.testing.assert_allclose(boot.replicates["Days"], table["sd Subject.Days"], rtol=1e-6)
    deviances = sleep.bootstrap(3, lambda fit: fit.deviance, rng=rng()).replicates["statistic"]
    Y = sleep.simulate(3, rng())
    np.testing.assert_allclose(deviances, [sleep.refit(y).deviance for y in Y.T], atol=1e-6)


def test_singular_replicates_are_counted_and_said(sleep):
    boot = sleep.bootstrap(1000, rng=rng())
    assert boot.n_singular > 0
    assert f"{boot.n_singular} of 1000 replicates are singular" in str(boot)


def test_undefined_correlations_do_not_count():
    data = pd.DataFrame({"g": np.repeat(np.arange(6), 5), "x": np.tile(np.arange(5.0), 6)})
    data["y"] = gl.simulate("~ x + (x | g)", data, fixef=[0, 0], sd={"g": [0.2, 0.05]}, sigma=1, rng=rng(8))
    boot = gl.lmer("y ~ x + (x | g)", data).bootstrap(300, rng=rng())
    missing = int(boot.replicates["corr g.x.Intercept"].isna().sum())
    assert missing > 0
    assert f"undefined in {missing} of 300 replicates" in boot.conf_int().attrs["notes"][1]


def test_what_bootstrap_refuses(sleep):
    with pytest.raises(ModelError, match="numpy Generator"):
        sleep.bootstrap(10)
    with pytest.raises(ModelError, match="2 or more, not 1"):
        sleep.bootstrap(1, rng=rng())
    with pytest.raises(ModelError, match="20 replicates cannot tell an interval of level 0.95"):
        sleep.bootstrap(20, rng=rng()).conf_int()
    with pytest.raises(ModelError, match="did you mean 'Days'"):
        sleep.bootstrap(100, rng=rng()).conf_int(parm="Day")
    with pytest.raises(ModelError, match="'percentile' or 'basic'"):
        sleep.bootstrap(100, rng=rng()).conf_int(kind="bca")
    with pytest.raises(ModelError, match="holds no numbers"):
        sleep.bootstrap(2, lambda fit: {"a": "b"}, rng=rng())


# --- the bootstrap likelihood-ratio test ----------------------------------------------------------


def test_the_simulated_null_is_that_of_refits_to_responses_of_the_smaller_model():
    data = pd.DataFrame({"g": np.repeat(np.arange(30), 8)})
    data["x"] = rng(4).normal(size=240)
    data["y"] = gl.simulate("~ x + (1 | g)", data, fixef=[0, 1], sd={"g": 1}, sigma=1, rng=rng(5))
    m0, m1 = (
        gl.lmer(f"y ~ x + {random}", data, reml=False) for random in ("(1 | g)", "(1 | g) + (0 + x | g)")
    )
    test = gl.bootstrap_test(m0, m1, n=400, rng=rng())
    Y = m0.simulate(400, rng())
    singles = [m0.refit(y).deviance - m1.refit(y).deviance for y in Y.T[:20]]
    np.testing.assert_allclose(test.null[:20], np.maximum(singles, 0), atol=1e-6)
    assert 0.45 < np.mean(test.null < 1e-6) < 0.7  # half of them and, with few groups, some more
    assert test.p == (1 + np.sum(test.null >= test.statistic - 1e-6)) / 401


def test_anova_takes_the_simulated_p_and_prints_its_hypothesis(sleep):
    m0 = gl.lmer("Reaction ~ Days + (1 | Subject)", gl.load("sleepstudy"))
    table = gl.anova(m0, sleep, bootstrap=99, rng=rng())
    assert table.table["p"].iloc[1] == pytest.approx(0.01)
    assert table.table["p_naive"].iloc[1] < 1e-6
    assert "H0: the variance of Days" in str(table) and "simulated, from 99 responses" in str(table)
    assert "H0: the variance of Days" in str(gl.bootstrap_test(m0, sleep, n=20, rng=rng()))


def test_a_bootstrap_test_of_a_generalised_model(cbpp):
    m0 = cbpp.update(". ~ . - period")
    test = gl.bootstrap_test(m0, cbpp, n=99, rng=rng())
    assert test.p == pytest.approx(0.01)
    assert test.statistic == pytest.approx(m0.deviance - cbpp.deviance)


# --- anywhere ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_results_do_not_depend_on_the_backend(crossed, backend):
    here = crossed.bootstrap(12, rng=rng()).replicates
    with joblib.parallel_config(backend, n_jobs=2):
        there = crossed.bootstrap(12, rng=rng()).replicates
        statistic = crossed.bootstrap(12, ratio, rng=rng()).replicates
    pd.testing.assert_frame_equal(here, there, check_exact=True)
    np.testing.assert_allclose(statistic["ratio"], here["sd a.Intercept"] / here["sigma"], rtol=1e-12)


def test_power_and_bootstrap_on_a_dask_cluster(crossed):
    from dask import distributed

    study = {
        "formula": "~ x + (1 | g)",
        "groups": [8, 12],
        "group_sizes": 4,
        "fixef": {"Intercept": 0, "x": 0.5},
        "test": "x",
        "sd": {"g": 0.5},
        "sigma": 1,
        "covariates": {"x": "between"},
        "n": 20,
    }
    here = crossed.bootstrap(6, rng=rng()).replicates, gl.power(**study, rng=rng())
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        there = crossed.bootstrap(6, rng=rng()).replicates, gl.power(**study, rng=rng())
    for a, b in zip(here, there, strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_a_planned_study_draws_and_fits_structural_zeros():
    covariates = {"x": "between"}
    options = {"fixef": {"Intercept": 1.5, "x": 0.3}, "sd": {"g": 0.3}, "family": "poisson", "zi": 0.4}
    none = dict.fromkeys(("corr", "sigma", "link", "dispersion", "ddf", "functions"))
    study = _study("~ x + (1 | g)", test="x", covariates=covariates, alpha=0.05, **options, **none)
    data = study.data(30, 8, rng())
    y = study.draw(data, 1, rng(), effect=True)[:, 0]
    assert abs((y == 0).mean() - 0.4) < 0.12
    assert study.fit(data, y).zi == pytest.approx(0.4, abs=0.12)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_shows_on_a_terminal_only_and_late(monkeypatch, capsys):
    assert list(parallel.progress(range(3), 3, "fits")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(parallel.progress(range(3), 3, "fits")) == [0, 1, 2]
    assert terminal.getvalue().strip() == ""  # done before two seconds were over
    monkeypatch.setattr(parallel, "PATIENCE", 0.0)
    assert list(parallel.progress(range(3), 3, "fits")) == [0, 1, 2]
    assert "fits" in terminal.getvalue()


@pytest.mark.parametrize(("n", "size"), [(1, None), (64, None), (1000, None), (10, 3)])
def test_pieces_cover_everything_once(n, size):
    covered = [i for part in parallel.pieces(n, size) for i in range(n)[part]]
    assert covered == list(range(n))


# --- power --------------------------------------------------------------------------------------------


def test_power_of_a_balanced_comparison_of_groups_is_that_of_the_t_test():
    """Group means of a balanced study are independent and normal, so Student's test of them has a known
    power.
    """
    from scipy.stats import nct, t

    table = gl.power(
        "~ arm + (1 | site)",
        groups=[8, 24],
        group_sizes=[5],
        fixef={"Intercept": 1, "arm": 0.8},
        sd={"site": 0.6},
        sigma=1,
        covariates={"arm": "treatment"},
        test="arm",
        n=3000,
        rng=rng(),
    )
    for row in table.itertuples():
        error = np.sqrt((0.36 + 1 / 5) * 4 / row.groups)
        df = row.groups - 2
        limit = t.isf(0.025, df)
        expected = nct.sf(limit, df, 0.8 / error) + nct.cdf(-limit, df, 0.8 / error)
        # a site variance estimated as zero brings more degrees of freedom: a little more power
        assert -3.5 * row.power_error < row.power - expected < 0.05 + 3.5 * row.power_error
        assert abs(row.type_one - 0.05) < 0.02
        assert row.sd == pytest.approx(error, rel=0.07)
        assert row.mean == pytest.approx(0.8, abs=0.06)


def test_power_of_counts_grows_with_groups_and_takes_a_function_for_a_covariate():
    def dose(rng, data):
        assert list(data.columns) == ["pond"]
        return rng.uniform(0, 2, len(data))

    table = gl.power(
        "~ dose + (1 | pond)",
        groups=[5, 20],
        group_sizes=[4],
        fixef={"Intercept": 1, "dose": 0.3},
        sd={"pond": 0.4},
        family="poisson",
        covariates={"dose": dose},
        test="dose",
        n=40,
        rng=rng(),
    )
    assert table["power"][0] < table["power"][1]
    assert (table["nobs"] == [20, 80]).all()
    assert table["sd"][0] > table["sd"][1]


def test_what_power_refuses():
    good = {
        "formula": "~ x + (1 | g)",
        "groups": 8,
        "group_sizes": 4,
        "fixef": {"Intercept": 0, "x": 0.5},
        "test": "x",
        "sd": {"g": 0.5},
        "sigma": 1,
        "covariates": {"x": "between"},
        "n": 20,
        "rng": rng(),
    }
    for change, message in [
        ({"rng": None}, "numpy Generator"),
        ({"test": "z"}, "names the coefficient 'z', which fixef lacks"),
        ({"groups": 1}, "groups is a whole number from 2 on"),
        ({"covariates": {"x": "among"}}, "'within', 'between', 'treatment', 'occasion' or a function"),
        ({"formula": "~ x + (1 | g) + (1 | h)"}, "one grouping factor, not 2"),
        ({"formula": "x"}, "has a ~"),
        ({"n": 3}, "20 or more, not 3"),
        ({"sigma": None}, "needs sigma"),
        ({"alpha": 5}, "alpha is a probability"),
    ]:
        with pytest.raises(ModelError, match=message):
            gl.power(**{**good, **change})


def test_the_power_map_holds_a_cell_for_each_size():
    sizes = pd.DataFrame(
        {"groups": [10, 40], "group_size": [5, 5], "power": [0.3, 0.85], "type_one": [0.04, 0.05]}
    )
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2)
    assert [t.get_text() for t in gl.plots.power_map(sizes, ax=left).texts] == ["0.30", "0.85"]
    assert len(left.patches) == 1
    assert [t.get_text() for t in gl.plots.power_map(sizes, "type_one", ax=right).texts] == ["0.040", "0.050"]
    with pytest.raises(ModelError, match="value is 'power'"):
        gl.plots.power_map(sizes, "se")
    plt.close("all")
