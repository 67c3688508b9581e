"""Fits that are written to a file and read again, and files that are no fits."""

import io
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.design.subset import kept_rows
from glmmlib.errors import DataError, ModelError
from glmmlib.models import saved
from glmmlib.storage.frames import packed_frame, unpacked_frame
from support.saving import assert_same, saved_and_loaded

pytestmark = pytest.mark.filterwarnings("ignore::glmmlib.errors.GlmmlibWarning")
CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


def sleep():
    """With missing values, labels of its own, and columns of many types that the model does not use."""
    data = gl.load("sleepstudy").astype({"Reaction": float})
    data.loc[[3, 40], "Reaction"] = np.nan
    data["day"] = pd.cut(data["Days"], [-1, 3, 6, 9])
    data["w"] = 1.0 + data["Days"] % 3
    data["when"] = pd.Timestamp("2026-01-01", tz="Europe/Berlin") + pd.to_timedelta(data["Days"], unit="D")
    data["note"] = pd.array(["a", None] * 90, dtype="string")
    return data.set_axis([f"row {k}" for k in range(180)])


def double(x):
    return 2 * x


FITS = {
    "slopes": lambda: gl.lmer("Reaction ~ Days + (Days | Subject)", sleep()),
    "intervals for levels": lambda: gl.lmer("Reaction ~ day + (1 | Subject)", sleep(), reml=False),
    "weights by name, offset": lambda: gl.lmer(
        "Reaction ~ scale(Days) + (1 | Subject)", sleep(), weights="w", offset=np.arange(180.0) / 7
    ),
    "offset by name and in the formula": lambda: gl.lmer(
        "Reaction ~ poly(Days, 2) + offset(w) + (1 | Subject)", sleep(), offset="w"
    ),
    "repeated columns": lambda: gl.lmer("Reaction ~ Days + I(2 * Days) + (1 | Subject)", sleep()),
    "smooth": lambda: gl.lmer("Reaction ~ s(Days, k=5) + (1 | Subject)", sleep()),
    "crossed": lambda: gl.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", gl.load("Penicillin")),
    "correlated residuals": lambda: gl.lmer(
        "distance ~ Sex * age", gl.load("Orthodont"), residual="us(age | Subject)"
    ),
    "residual SDs with a formula": lambda: gl.lmer(
        "distance ~ age + (1 | Subject)", gl.load("Orthodont"), sigma="~ Sex"
    ),
    "another response": lambda: FITS["slopes"]().refit(np.sin(np.arange(178.0)) * 40 + 300),
    "other estimates": lambda: at_half(FITS["slopes"]()),
    "cbind": lambda: gl.glmer(CBPP, gl.load("cbpp"), family="binomial", link="probit"),
    "quadrature": lambda: gl.glmer(CBPP, gl.load("cbpp"), family="binomial", n_agq=5),
    "another binomial response": lambda: FITS["cbind"]().refit(
        gl.load("cbpp")["incidence"].to_numpy()[::-1] % 2
    ),
    "other binomial estimates": lambda: at_half(FITS["cbind"]()),
    "dispersion": lambda: gl.glmer(
        "y ~ base + trt + (1 | subject)", gl.load("epil"), family="negbinomial", dispersion="~ trt"
    ),
    "a curve times a number": lambda: gl.lmer("Reaction ~ s(Days, by=w, k=4) + (1 | Subject)", sleep()),
    "a factor for response, a smooth": lambda: gl.glmer(
        "answer ~ s(depth, k=4) + (1 | region)", frogs(), family="binomial"
    ),
}


def at_half(fit):
    return fit.at(replace(fit.solution.estimates, theta=0.5 * fit.theta.to_numpy()))


def frogs():
    data = gl.load("frogs")
    return data.assign(answer=np.where(data["presence"] == 1, "yes", "no"))


@pytest.fixture(params=FITS)
def fit(request):
    return FITS[request.param]()


def test_a_fit_that_was_read_again_says_the_same(fit, tmp_path):
    again = saved_and_loaded(fit, tmp_path)
    assert_same(fit, again)
    assert_same(fit, saved_and_loaded(again, tmp_path))
    newdata = fit.design.data.head()
    given = {"offset": np.ones(5)} if fit.design.offset_argument is True else {}
    np.testing.assert_array_equal(again.predict(newdata, **given), fit.predict(newdata, **given))
    y = fit.simulate(rng=np.random.default_rng(1))
    assert again.refit(y, warn=False).deviance == fit.refit(y, warn=False).deviance


@pytest.mark.parametrize("name", ["slopes", "quadrature"])
def test_what_takes_a_search_is_the_same_too(name, tmp_path):
    fit = FITS[name]()
    again = saved_and_loaded(fit, tmp_path)
    pd.testing.assert_frame_equal(
        again.conf_int(method="profile"), fit.conf_int(method="profile"), check_exact=True
    )
    assert again.update("~ .").deviance == fit.update("~ .").deviance


def test_own_functions_are_handed_over_again(tmp_path):
    fit = gl.lmer("Reaction ~ double(Days) + (1 | Subject)", sleep(), functions={"double": double})
    assert_same(fit, saved_and_loaded(fit, tmp_path, functions={"double": double}))
    with pytest.raises(ModelError, match=r"calls double.*functions=\{'double': double\}"):
        gl.load_fit(tmp_path / "a.fit")
    with pytest.raises(ModelError, match="reads its formula .* otherwise"):
        gl.load_fit(tmp_path / "a.fit", functions={"double": abs})


def test_a_fit_gives_one_file_whatever_the_hour(tmp_path):
    FITS["slopes"]().save(tmp_path / "a.fit")
    FITS["slopes"]().save(tmp_path / "b.fit")
    assert (tmp_path / "a.fit").read_bytes() == (tmp_path / "b.fit").read_bytes()


def test_the_file_is_json_and_arrays_and_holds_no_pickle(tmp_path):
    FITS["slopes"]().save(tmp_path / "a.fit")
    with zipfile.ZipFile(tmp_path / "a.fit") as archive:
        head = json.loads(archive.read("content.json"))
        assert head["format"] == "glmmlib fit" and head["glmmlib"] == gl.__version__
        for name in set(archive.namelist()) - {"content.json"}:
            np.load(io.BytesIO(archive.read(name)), allow_pickle=False)


# --- what cannot be saved ---------------------------------------------------------------------------------


def test_a_column_that_a_file_cannot_hold_is_named(tmp_path):
    data = sleep().assign(odd=[(1, 2)] * 180)
    with pytest.raises(DataError, match="column 'odd' of the data holds values of the type tuple"):
        gl.lmer("Reaction ~ Days + (1 | Subject)", data).save(tmp_path / "a.fit")
    assert not (tmp_path / "a.fit").exists()


def test_some_rows_of_another_fit_are_refused(tmp_path):
    fit = gl.lmer("Reaction ~ scale(Days) + (1 | Subject)", sleep())
    part = fit.with_design(kept_rows(fit.design, np.arange(fit.nobs) > 20))
    with pytest.raises(ModelError, match="do not lead back to it"):
        part.save(tmp_path / "a.fit")


# --- files that are none ----------------------------------------------------------------------------------


def changed(path, **changes):
    """Write the head of a file anew."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["content.json"] = json.dumps(json.loads(members["content.json"]) | changes).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "data", [b"", b"a,b\n1,2\n", pickle.dumps([1, 2]), b"PK\x05\x06" + b"\0" * 18], ids=repr
)
def test_a_foreign_file_is_refused(data, tmp_path):
    (tmp_path / "a.fit").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.fit' is no file that fit\.save\(\) wrote, or it is damaged"):
        gl.load_fit(tmp_path / "a.fit")


@pytest.fixture
def file(tmp_path):
    FITS["crossed"]().save(tmp_path / "a.fit")
    return tmp_path / "a.fit"


def test_a_newer_file_is_refused(file):
    changed(file, format_version=2, glmmlib="9.0")
    with pytest.raises(DataError, match=r"written by glmmlib 9\.0 in a newer format \(2\)"):
        gl.load_fit(file)


@pytest.mark.parametrize("content", [{"kind": "oracle"}, {"kind": "linear mixed model"}, {}, []], ids=repr)
def test_content_that_is_none_of_a_fit_is_refused(content, file):
    changed(file, content=content)
    with pytest.raises(DataError, match="does not know|is damaged"):
        gl.load_fit(file)


@pytest.mark.parametrize("member", ["content.json", "0.npy"])
def test_a_damaged_file_is_refused(member, file):
    with zipfile.ZipFile(file) as archive:
        info = archive.getinfo(member)
    data, start = bytearray(file.read_bytes()), info.header_offset + 30 + len(member)
    data[start + info.compress_size // 2] ^= 255
    file.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        gl.load_fit(file)


def test_half_a_file_is_refused(file):
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(DataError, match="damaged"):
        gl.load_fit(file)


# --- pickles ----------------------------------------------------------------------------------------------


def test_a_pickle_of_another_version_says_so(monkeypatch):
    data = pickle.dumps(FITS["crossed"]())
    monkeypatch.setattr(saved, "__version__", "9.9")
    with pytest.raises(ModelError, match=rf"pickled by glmmlib {gl.__version__}, and this is glmmlib 9\.9"):
        pickle.loads(data)


# --- frames -----------------------------------------------------------------------------------------------

COLUMNS = {
    "whole numbers": [1, 2, 3],
    "few bytes": np.array([1, 2, 3], dtype=">i2"),
    "floats": [1.5, np.nan, -np.inf],
    "booleans": [True, False, True],
    "text": ["x", None, "ß"],
    "strings": pd.array(["a", pd.NA, "b"], dtype="string"),
    "nullable whole numbers": pd.array([1, None, 3], dtype="Int64"),
    "nullable floats": pd.array([1.5, None, 2], dtype="Float64"),
    "nullable booleans": pd.array([True, None, False], dtype="boolean"),
    "ordered": pd.Categorical(["u", None, "v"], categories=["v", "u", "w"], ordered=True),
    "numbers for levels": pd.Categorical([1.5, 2.5, None]),
    "cut": pd.cut([1.0, 2.0, np.nan], 2),
    "days": pd.to_datetime(["2020-01-01", None, "2021-07-01"]),
    "instants": pd.to_datetime(["2020-01-01", None, "2021-07-01"]).tz_localize("Europe/Berlin"),
    "spans": pd.to_timedelta([1, 2, None], unit="D"),
    "months": pd.period_range("2020-01", periods=3, freq="M"),
    "mixed": pd.Series([1, "a", None], dtype=object),
    "mixed and missing": pd.Series([True, np.nan, pd.NA], dtype=object),
}
INDEXES = {
    "range": pd.RangeIndex(3, name="r"),
    "numbers": pd.Index([3, 1, 2]),
    "text": pd.Index(list("abc"), name="row"),
    "two levels": pd.MultiIndex.from_tuples([(1, "a"), (2, "b"), (1, "c")], names=["x", None]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_each_type_comes_back(name):
    frame = pd.DataFrame({"x": pd.Series(COLUMNS[name]), "n": [1, 2, 3]})
    pd.testing.assert_frame_equal(unpacked_frame(packed_frame(frame)), frame, check_exact=True)


@pytest.mark.parametrize("name", INDEXES)
def test_row_labels_of_each_kind_come_back(name):
    frame = pd.DataFrame({"n": [1, 2, 3]}, index=INDEXES[name])
    pd.testing.assert_frame_equal(unpacked_frame(packed_frame(frame)), frame, check_index_type="exact")
