"""Fits whose rows are read in batches, against those to the same rows in memory."""

import datetime
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.design import row_source
from glmmlib.errors import DataError, FormulaError, ModelError

pytest.importorskip("pyarrow")


def _rows(n=400, n_groups=12, seed=1):
    rng = np.random.default_rng(seed)
    g = rng.integers(0, n_groups, n)
    b = rng.normal(size=(n_groups, 2)) * [1.0, 0.5]
    x = rng.normal(size=n)
    frame = pd.DataFrame(
        {"x": x, "far": x + rng.normal(size=n) + 1e3, "whole": rng.integers(0, 3, n), "g": g}
    )
    frame["text"] = np.array(list("dbca"))[rng.integers(0, 4, n)]
    frame["flag"] = rng.random(n) < 0.5
    frame["size"] = pd.Categorical(np.array(["S", "M", "L"])[rng.integers(0, 3, n)], ["S", "M", "L", "XL"])
    frame["y"] = 2.0 + x + b[g, 0] + b[g, 1] * x + rng.normal(size=n)
    return frame


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(row_source, "BATCH_ROWS", 37)


def _both(formula, frame, path, **arguments):
    frame.to_parquet(path, row_group_size=90)
    found = []
    for data in (pd.read_parquet(path), str(path)):
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            found.append((gl.lmer(formula, data, **arguments), [str(w.message) for w in heard]))
    (whole, of_whole), (batches, of_batches) = found
    assert of_whole == of_batches
    return whole, batches


def _check(whole, batches):
    assert abs(whole.deviance - batches.deviance) <= 1e-9 * max(1.0, abs(whole.deviance) / 1e3)
    assert list(whole.params.index) == list(batches.params.index)
    np.testing.assert_allclose(batches.params, whole.params, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(batches.bse, whole.bse, rtol=1e-6)
    np.testing.assert_allclose(batches.pvalues, whole.pvalues, rtol=1e-4, atol=1e-12)
    assert (batches.nobs, batches.design.n_missing) == (whole.nobs, whole.design.n_missing)
    for name, table in whole.ranef(cond_sd=True).items():
        found = batches.ranef(cond_sd=True)[name]
        assert list(found.index) == list(table.index) and found.index.dtype == table.index.dtype
        np.testing.assert_allclose(found, table, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (x | g)",
        "y ~ x + (x || g)",
        "y ~ far + (0 + far | g)",
        "log(y + 50) ~ x * text + (1 | g)",
        "y ~ C(whole) + flag + size + (flag | g)",
        "y ~ 0 + size + np.exp(x):text + offset(x / 2) + (1 | g)",
        "y ~ x + I(2 * x) + (1 | size)",
    ],
)
def test_a_fit_in_batches_is_that_in_memory(formula, tmp_path):
    whole, batches = _both(formula, _rows(), tmp_path / "rows.parquet", reml="text" not in formula)
    _check(whole, batches)
    new = _rows(5, seed=2)
    if not whole.design.aliased:
        np.testing.assert_allclose(batches.predict(new), whole.predict(new), rtol=1e-6)


def test_missing_values_are_dropped_and_counted_wherever_they_stand(tmp_path):
    frame = _rows()
    rng = np.random.default_rng(3)
    for name in ("x", "text", "y"):
        frame.loc[rng.random(len(frame)) < 0.1, name] = None
    frame.loc[:60, "x"] = np.nan  # no complete row in the first batch
    frame["g"] = frame["g"].astype("Int64")
    frame.loc[100:110, "g"] = pd.NA
    whole, batches = _both("y ~ x + text + (1 | g)", frame, tmp_path / "rows.parquet")
    assert batches.design.n_missing > 100
    assert abs(whole.deviance - batches.deviance) < 1e-9
    with pytest.raises(DataError, match=r"missing in y .* g \(11\)") as in_memory:
        gl.lmer("y ~ x + text + (1 | g)", frame, na_action="raise")
    with pytest.raises(DataError) as in_batches:
        gl.lmer("y ~ x + text + (1 | g)", tmp_path / "rows.parquet", na_action="raise")
    assert str(in_memory.value) == str(in_batches.value)


@pytest.mark.parametrize("order", ["sorted", "reversed", "late"])
def test_neither_the_order_of_rows_nor_levels_that_come_late_matter(order, tmp_path):
    frame = _rows()
    if order == "late":  # of the factor and of the groups, and a column constant in the first batches
        frame = frame.sort_values(["text", "g"], ascending=False)
        frame.loc[frame.index[:120], "x"] = 1.5
    else:
        frame = frame.sort_values("g", ascending=order == "sorted")
    _check(*_both("y ~ x + text + (x | g)", frame, tmp_path / "rows.parquet"))


KEYS = {
    "small": lambda g: g.astype(np.int8) - 5,
    "unsigned": lambda g: g.astype(np.uint64) + np.uint64(2**63 + 5),
    "far apart": lambda g: g.astype(np.int64) * 10**15,
    "growing": lambda g: np.where(np.arange(len(g)) < 200, g, g * 10**12 + 1),
    "text": lambda g: np.array([f"s{k}" for k in g]),
    "ordered": lambda g: pd.Categorical(np.array(list("lkjihgfedcba"))[g], list("lkjihgfedcba")),
    "flag": lambda g: g % 2 == 0,
    "decimal": lambda g: g / 4.0,
    "date": lambda g: np.array([datetime.date(2020, 1, 1 + k) for k in g]),
    "time": lambda g: pd.Timestamp("2020-01-01") + pd.to_timedelta(g, "D"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_groups_have_keys_of_any_kind(kind, tmp_path):
    frame = _rows()
    frame["g"] = KEYS[kind](frame["g"].to_numpy())
    _check(*_both("y ~ x + (1 | g)", frame, tmp_path / "rows.parquet"))


def test_a_directory_and_a_dataset_are_read_too(tmp_path):
    import pyarrow.dataset as ds

    frame = _rows()
    for k in range(2):
        frame.iloc[200 * k : 200 * k + 200].to_parquet(tmp_path / f"part{k}.parquet")
    deviance = gl.lmer("y ~ x + (1 | g)", frame, offset="whole").deviance
    dataset = ds.dataset(tmp_path, format="parquet")
    for source in (tmp_path, str(tmp_path), dataset):
        assert abs(gl.lmer("y ~ x + (1 | g)", source, offset="whole").deviance - deviance) < 1e-9
    some = gl.lmer("y ~ x + (1 | g)", dataset.filter(ds.field("whole") > 0))
    assert some.nobs == (frame["whole"] > 0).sum()


@pytest.mark.parametrize(
    ("formula", "arguments", "says"),
    [
        ("y ~ x + (1 | g) + (1 | text)", {}, r"one grouping factor, but the formula has 2 \(g, text\)"),
        ("y ~ x + (1 | g:text)", {}, "a column for its grouping factor, not g:text"),
        ("y ~ s(x) + (1 | g)", {}, r"not s\(x\)"),
        ("y ~ x + cs(0 + size | g)", {}, r"terms such as \(x \| g\)"),
        ("y ~ x", {}, "no random-effects term"),
        ("cbind(whole, whole) ~ x + (1 | g)", {}, "binomial"),
        ("y ~ scale(x) + (1 | g)", {}, r"'scale\(x\)' needs all rows at once"),
        ("y ~ I(x - x.mean()) + (1 | g)", {}, "needs all rows at once"),
        ("y ~ bs(x, df=4) + (1 | g)", {}, "needs all rows at once"),
        ("y ~ x.rank() + (1 | g)", {}, "needs all rows at once"),
        ("y ~ np.cumsum(x) + (1 | g)", {}, "needs all rows at once"),
        ("y ~ I(x > 0) + (1 | g)", {}, "are not known before all rows are read"),
        ("y ~ x + (1 | g)", {"weights": "whole"}, "has no weights="),
        ("y ~ x + (1 | g)", {"residual": "us(whole | g)"}, "has no residual="),
        ("y ~ x + (1 | g)", {"sigma": "~ x"}, "has no sigma="),
        ("y ~ x + (1 | g)", {"exact": True}, "has no exact="),
        ("y ~ x + (1 | g)", {"functions": {"f": np.exp}}, "has no functions="),
        ("y ~ x + (1 | g)", {"offset": np.ones(400)}, "an array as offset"),
        ("y ~ nothing + (1 | g)", {}, "'nothing' is not a column"),
        ("text ~ x + (1 | g)", {}, "not numeric"),
        ("y ~ log(x) + (1 | g)", {}, r"'log\(x\)' is not finite"),
        ("y ~ one + (1 | g)", {}, "column 'one' is constant"),
        ("one ~ x + (1 | g)", {}, "the response 'one' is constant"),
        ("y ~ x + (1 | one)", {}, "has one level only"),
        ("y ~ word + (1 | g)", {}, "'word' has one level only"),
        ("y ~ x + (1 | row)", {}, "one observation per level"),
        ("y ~ x + (of_group | g)", {}, "of_group does not vary within any level of 'g'"),
        ("y ~ g + C(g) + x + (1 | g)", {}, "a column for every level of 'g'"),
    ],
)
@pytest.mark.filterwarnings("ignore::glmmlib.errors.RankDeficientWarning")
def test_what_cannot_be_done_is_refused_in_a_sentence(formula, arguments, says, tmp_path):
    frame = _rows().assign(one=7.0, word="w", row=np.arange(400), of_group=lambda t: t["g"] % 2 + 0.5)
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises((DataError, ModelError, FormulaError), match=says):
        gl.lmer(formula, tmp_path / "rows.parquet", **arguments)


def test_what_needs_the_rows_says_that_they_are_not_kept(tmp_path):
    frame = _rows()
    frame.to_parquet(tmp_path / "rows.parquet")
    fit = gl.lmer("y ~ x + (x | g)", tmp_path / "rows.parquet")
    asked = [
        lambda: fit.resid,
        lambda: fit.fittedvalues,
        lambda: fit.X,
        lambda: fit.Z,
        lambda: fit.refit(frame["y"]),
        lambda: fit.simulate(rng=np.random.default_rng(1)),
        lambda: fit.predict(),
        lambda: gl.check(fit, rng=np.random.default_rng(1)),
        lambda: gl.anova(fit, gl.lmer("y ~ 1 + (x | g)", tmp_path / "rows.parquet")),
    ]
    for ask in asked:
        with pytest.raises(ModelError, match="keeps none of them"):
            ask()
    assert "not kept" in str(fit.summary())
    whole = gl.lmer("y ~ x + (x | g)", frame)
    parts = [fit.predict(frame.iloc[k : k + 100]) for k in range(0, 400, 100)]
    np.testing.assert_allclose(frame["y"] - pd.concat(parts), whole.resid, atol=1e-7)
    assert abs(fit.with_criterion(False).deviance - whole.with_criterion(False).deviance) < 1e-9


def test_without_pyarrow_a_sentence_names_the_extra(tmp_path, monkeypatch):
    _rows().to_parquet(tmp_path / "rows.parquet")
    for name in [m for m in sys.modules if m.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"pip install 'glmmlib\[parquet\]'"):
        gl.lmer("y ~ x + (1 | g)", tmp_path / "rows.parquet")


def test_a_path_that_is_not_there_or_no_parquet_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        gl.lmer("y ~ x + (1 | g)", tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("y,x,g\n1,2,3\n")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        gl.lmer("y ~ x + (1 | g)", tmp_path / "text.parquet")
    with pytest.raises(DataError, match="read the file first"):
        gl.lmer("y ~ x + (1 | g)", "rows.csv")
