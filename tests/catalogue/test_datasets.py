"""The course's data load as the codebook says, are what the generator writes, and tell their stories."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress, t

import glmmlib as gl
from glmmlib.errors import DataError

datasets = importlib.import_module("glmmlib.catalogue")  # gl.datasets is the function that lists them

DATA = Path(__file__).resolve().parents[2] / "data"
BOOK = json.loads((DATA / "codebook.json").read_text(encoding="utf-8"))
SIMULATED = [name for name, about in BOOK.items() if about["simulated"]]


def program(name):
    """A program of the data folder, imported from its file."""
    spec = importlib.util.spec_from_file_location(f"data_{name}", DATA / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def slope(x, y):
    return np.polyfit(x, y, 1)[0]


def slope_interval(x, y):
    """Least-squares slope with its 95 % interval."""
    fit = linregress(x, y)
    half = t.ppf(0.975, len(x) - 2) * fit.stderr
    return fit.slope, fit.slope - half, fit.slope + half


# ---------------------------------------- the files


def test_the_generator_writes_the_stored_files_byte_for_byte(tmp_path):
    program("generate").write(tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == sorted([*(f"{name}.csv" for name in SIMULATED), "truth.json"])
    for name in written:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name


def test_another_seed_gives_other_data_of_the_same_truth():
    generate = program("generate")
    stored, truth = generate.draw("soil_pH")
    other, other_truth = generate.draw("soil_pH", seed=1)
    assert not stored["ph_change"].equals(other["ph_change"])
    assert truth["parameters"] == other_truth["parameters"]


def test_every_file_has_a_codebook_entry_and_terms():
    files = {path.stem for path in DATA.glob("*.csv")}
    terms = (DATA / "LICENSES.md").read_text(encoding="utf-8")
    assert files == set(BOOK)
    assert {name for name in files if f"`{name}.csv`" in terms} == files


# ---------------------------------------- loading


@pytest.mark.parametrize("name", BOOK)
def test_a_set_loads_as_its_codebook_says(name):
    data = datasets.load(name)
    columns = BOOK[name]["columns"]
    assert list(data.columns) == list(columns)
    assert len(data) == BOOK[name]["rows"]
    assert not data.isna().any(axis=None)
    for column, about in columns.items():
        values = data[column]
        if about["kind"] in ("group", "factor"):
            assert isinstance(values.dtype, pd.CategoricalDtype), column
            assert all(isinstance(level, str) for level in values.cat.categories), column
            assert set(values.cat.categories) == set(values), f"{column}: a level without rows"
        else:
            assert pd.api.types.is_numeric_dtype(values), column
        if about["kind"] == "count":
            assert pd.api.types.is_integer_dtype(values) and (values >= 0).all(), column
        if about["kind"] == "binary":
            assert set(values) == {0, 1}, column


@pytest.mark.parametrize(
    ("name", "column", "first", "count"),
    [
        ("sleepstudy", "Subject", ["308", "309", "310", "330"], 18),
        ("cbpp", "herd", ["1", "2", "3", "4"], 15),
        ("Pastes", "sample", ["A:a", "A:b", "A:c", "B:a"], 30),
        ("Contraception", "district", ["1", "2", "3", "4"], 60),
        ("Contraception", "livch", ["0", "1", "2", "3+"], 4),
        ("Oats", "Block", ["VI", "V", "III", "IV", "II", "I"], 6),
        ("Orthodont", "Subject", ["M16", "M05", "M02", "M11"], 27),
        ("Orthodont", "Sex", ["Male", "Female"], 2),
        ("grouseticks", "LOCATION", ["1", "2", "3", "4"], 63),
        ("toenail", "outcome", ["none or mild", "moderate or severe"], 2),
        ("birds", "season", ["winter", "spring", "summer", "autumn"], 4),
    ],
)
def test_levels_come_in_the_order_of_the_source(name, column, first, count):
    levels = datasets.load(name)[column].cat.categories
    assert list(levels[: len(first)]) == first
    assert len(levels) == count


def test_only_the_blocks_of_oats_and_the_children_of_orthodont_are_ordered():
    ordered = [
        (name, column)
        for name in BOOK
        for column, values in datasets.load(name).items()
        if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered
    ]
    assert ordered == [("Oats", "Block"), ("Orthodont", "Subject")]


@pytest.mark.parametrize("name", BOOK)
def test_numbers_are_read_to_the_last_digit(name):
    data = datasets.load(name)
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for column in data.select_dtypes("number"):
        assert data[column].tolist() == [float(row[column]) for row in rows], column


def test_each_load_is_a_fresh_copy():
    exam = datasets.load("exam")
    exam["score"] = 0.0
    assert datasets.load("exam")["score"].mean() > 50


@pytest.mark.parametrize(
    ("wrong", "near"), [("Birds", "birds"), ("soil", "soil_pH"), ("slepstudy", "sleepstudy")]
)
def test_a_wrong_name_gets_the_nearest(wrong, near):
    with pytest.raises(DataError, match=f"no data set is called '{wrong}'; did you mean '{near}'"):
        datasets.load(wrong)


def test_a_name_like_no_other_gets_the_whole_list():
    with pytest.raises(DataError, match=r"there are birds, exam, soil_pH, frogs, sleepstudy, .*toenail"):
        datasets.load("qqq")


def test_a_real_set_has_no_known_truth():
    with pytest.raises(DataError, match="'cbpp' is real, so its truth is unknown"):
        datasets.load_truth("cbpp")


def test_datasets_lists_them_all_and_codebook_describes_every_column():
    assert list(datasets.datasets().index) == list(BOOK)
    for name in BOOK:
        book = datasets.codebook(name)
        assert list(book.index) == list(datasets.load(name).columns)
        assert (book["meaning"].str.len() > 3).all()


# ---------------------------------------- where the files are found


def test_an_installed_package_reads_its_own_folder(tmp_path, monkeypatch):
    inside = tmp_path / "data"
    inside.mkdir()
    (inside / "codebook.json").write_text("{}")
    monkeypatch.setattr(datasets, "files", lambda package: tmp_path)
    assert datasets._folder() == inside


def test_a_checkout_reads_the_folder_beside_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "files", lambda package: tmp_path)
    assert datasets._folder() == DATA


def test_missing_data_are_named_with_the_places_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "files", lambda package: tmp_path / "glmmlib")
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "glmmlib" / "catalogue.py"))
    with pytest.raises(DataError, match="the data sets are missing: no codebook.json in .* or .*"):
        datasets._folder()


# ---------------------------------------- the truth is what the data came from


def by_group(data, group, truth, column):
    """A column of the groups' truth, spread over the rows of the data."""
    return data[group].astype(str).map(truth.groups[column]).astype(float)


def test_exam_residuals_from_the_truth_are_noise_of_the_stated_size():
    exam, truth = datasets.load("exam"), datasets.load_truth("exam")
    p = truth.parameters
    mean = (
        p["intercept"]
        + p["teaching_workshop"] * (exam["teaching"] == "workshop")
        + by_group(exam, "classroom", truth, "intercept_deviation")
        + p["hours"] * (exam["hours"] - 6)
    )
    z = (exam["score"] - mean) / p["sigma"]
    assert abs(z.mean()) < 3 / np.sqrt(len(z))
    assert abs(z.std() - 1) < 3 / np.sqrt(2 * len(z))
    assert abs(np.corrcoef(z, exam["hours"])[0, 1]) < 3 / np.sqrt(len(z))


def test_soil_residuals_from_the_truth_are_noise_of_the_stated_size():
    soil, truth = datasets.load("soil_pH"), datasets.load_truth("soil_pH")
    p = truth.parameters
    b, x = soil["fertiliser"] == "B", soil["temperature"] - p["origin"]
    mean = (
        p["intercept"]
        + p["fertiliser_B"] * b
        + by_group(soil, "site", truth, "intercept_deviation")
        + (p["temperature"] + p["temperature:fertiliser_B"] * b) * x
        + by_group(soil, "site", truth, "slope_deviation") * x
    )
    z = (soil["ph_change"] - mean) / p["sigma"]
    assert abs(z.mean()) < 3 / np.sqrt(len(z))
    assert abs(z.std() - 1) < 3 / np.sqrt(2 * len(z))
    assert abs(np.corrcoef(z, x)[0, 1]) < 3 / np.sqrt(len(z))


def test_bird_counts_vary_about_the_truth_as_a_negative_binomial():
    birds, truth = datasets.load("birds"), datasets.load_truth("birds")
    p = truth.parameters
    climate = by_group(birds, "site", truth, "climate")
    slopes = p["temperature_within"] + by_group(birds, "site", truth, "slope_deviation")
    season = p["season_amplitude"] * np.cos(2 * np.pi * (birds["month"] - p["season_peak_month"]) / 12)
    mean = (
        np.exp(
            p["intercept"]
            + p["climate_between"] * (climate - 10)
            + by_group(birds, "site", truth, "intercept_deviation")
            + slopes * (birds["temperature"] - climate)
            + season
        )
        * birds["minutes"]
        / 60
    )
    z = (birds["count"] - mean) / np.sqrt(mean + mean**2 / p["k"])
    assert abs(z.mean()) < 3 / np.sqrt(len(z))
    assert 0.75 < z.var() < 1.25
    poisson = (birds["count"] - mean) / np.sqrt(mean)
    assert poisson.var() > 2, "a Poisson model must be visibly wrong"


def test_frogs_and_tadpoles_appear_as_often_as_the_truth_says():
    frogs, truth = datasets.load("frogs"), datasets.load_truth("frogs")
    p, t = truth.parameters, truth.others["tadpoles"]
    slopes = p["depth"] + by_group(frogs, "region", truth, "slope_deviation")
    eta = (
        p["intercept"]
        + by_group(frogs, "region", truth, "intercept_deviation")
        + slopes * (frogs["depth"] - p["origin"])
    )
    hump = (
        t["intercept"]
        + by_group(frogs, "region", truth, "tadpole_deviation")
        + t["curvature"] * (frogs["depth"] - t["best_depth"]) ** 2
    )
    for response, log_odds in (("presence", eta), ("tadpoles", hump)):
        probability = 1 / (1 + np.exp(-log_odds))
        surprise = (frogs[response] - probability).sum() / np.sqrt((probability * (1 - probability)).sum())
        assert abs(surprise) < 3
        gain = (frogs[response] - probability) * (probability - probability.mean())
        assert abs(gain.sum()) / np.sqrt((gain**2).sum()) < 3


# ---------------------------------------- the stories


def test_birds_the_pooled_line_finds_an_effect_that_no_site_shows():
    birds = datasets.load("birds").assign(y=lambda d: np.log1p(d["count"]))
    pooled, low, _ = slope_interval(birds["temperature"], birds["y"])
    assert pooled > 0.08 and low > 0.05
    for site, rows in birds.groupby("site", observed=True):
        own, own_low, _ = slope_interval(rows["temperature"], rows["y"])
        assert own < pooled, site
        assert own_low < 0, site
    by_site = birds.groupby("site", observed=True)[["temperature", "y"]]
    within, means = birds[["temperature", "y"]] - by_site.transform("mean"), by_site.mean()
    assert abs(slope(within["temperature"], within["y"])) < 0.02
    assert slope(means["temperature"], means["y"]) > 0.2


def test_birds_temperature_and_season_move_together_within_a_site():
    birds = datasets.load("birds")
    within = birds["temperature"] - birds.groupby("site", observed=True)["temperature"].transform("mean")
    angle = 2 * np.pi * birds["month"] / 12
    waves = np.column_stack([np.ones(len(birds)), np.cos(angle), np.sin(angle)])
    left = within - waves @ np.linalg.lstsq(waves, within, rcond=None)[0]
    assert left.var() / within.var() < 0.25


@pytest.mark.parametrize(
    ("name", "group", "groups", "smallest", "largest"),
    [
        ("birds", "site", 15, 5, 24),
        ("exam", "classroom", 24, 3, 40),
        ("soil_pH", "site", 50, 3, 20),
        ("frogs", "region", 40, 4, 40),
    ],
)
def test_the_simulated_sets_are_unbalanced(name, group, groups, smallest, largest):
    sizes = datasets.load(name)[group].value_counts()
    assert (len(sizes), sizes.min(), sizes.max()) == (groups, smallest, largest)


def test_birds_are_surveyed_once_a_month_at_most():
    birds = datasets.load("birds")
    assert not birds.duplicated(["site", "month"]).any()
    assert birds["month"].between(1, 24).all()
    assert (birds["year"] == 1 + (birds["month"] - 1) // 12).all()


def test_exam_the_average_class_is_not_the_average_pupil():
    exam = datasets.load("exam")
    of_classes = exam.groupby("classroom", observed=True)["score"].mean().mean()
    assert of_classes - exam["score"].mean() > 1
    assert exam["score"].between(0, 100).all()


def test_exam_teaching_is_a_property_of_the_class():
    kinds = datasets.load("exam").groupby("classroom", observed=True)["teaching"].nunique()
    assert (kinds == 1).all()


def test_soil_the_sites_differ_least_inside_the_range_of_temperature():
    p = datasets.load_truth("soil_pH").parameters
    least = p["origin"] - p["corr"] * p["sd_intercept"] / p["sd_slope"]
    temperature = datasets.load("soil_pH")["temperature"]
    assert temperature.min() == 10 and temperature.max() == 20
    assert least == pytest.approx(13)
    covariance_at_zero = p["corr"] * p["sd_intercept"] * p["sd_slope"] - p["origin"] * p["sd_slope"] ** 2
    assert p["corr"] > 0 > covariance_at_zero


def test_frogs_rise_and_tadpoles_have_a_hump():
    frogs = datasets.load("frogs")
    bands = pd.cut(frogs["depth"], [0, 0.7, 1.9, 2.6], labels=["shallow", "middle", "deep"])
    share = frogs.groupby(bands, observed=True)[["presence", "tadpoles"]].mean()
    assert share["presence"].is_monotonic_increasing
    assert share.loc["middle", "tadpoles"] > 1.5 * share.loc[["shallow", "deep"], "tadpoles"].max()
    assert abs(np.corrcoef(frogs["depth"], frogs["tadpoles"])[0, 1]) < 2 / np.sqrt(len(frogs))
    assert frogs["depth"].between(0.1, 2.5).all()


def misses(fit, truth, names):
    """How many standard errors each fixed effect lies from the truth."""
    return abs(fit.params.to_numpy() - [truth[name] for name in names]) / fit.bse.to_numpy()


def test_exam_the_correct_model_gives_back_the_truth():
    exam, truth = gl.load("exam"), gl.load_truth("exam").parameters
    exam["size"] = exam.groupby("classroom", observed=True)["score"].transform("size") - 423 / 24
    fit = gl.lmer("score ~ teaching + I(hours - 6) + size + (1 | classroom)", exam)
    assert (misses(fit, truth, ["intercept", "teaching_workshop", "hours", "size"]) < 1.5).all()
    assert fit.sigma == pytest.approx(truth["sigma"], rel=0.1)
    assert fit.varcorr["classroom"].sd["Intercept"] == pytest.approx(truth["sd_class"], rel=0.2)


def test_soil_the_correct_model_gives_back_the_truth():
    soil, truth = gl.load("soil_pH"), gl.load_truth("soil_pH").parameters
    soil["x"] = soil["temperature"] - truth["origin"]
    fit = gl.lmer("ph_change ~ x * fertiliser + (x | site)", soil)
    names = ["intercept", "temperature", "fertiliser_B", "temperature:fertiliser_B"]
    assert (misses(fit, truth, names) < 1.5).all()
    assert fit.sigma == pytest.approx(truth["sigma"], rel=0.1)
    site = fit.varcorr["site"]
    assert site.sd.to_numpy() == pytest.approx([truth["sd_intercept"], truth["sd_slope"]], rel=0.2)
    assert site.corr.loc["Intercept", "x"] == pytest.approx(truth["corr"], abs=0.15)


def test_frogs_the_correct_models_give_back_the_truth():
    frogs, truth = gl.load("frogs"), gl.load_truth("frogs")
    p, t = truth.parameters, truth.others["tadpoles"]
    frogs["x"] = frogs["depth"] - p["origin"]
    frogs["hump"] = (frogs["depth"] - t["best_depth"]) ** 2
    presence = gl.glmer("presence ~ x + (x | region)", frogs, family="binomial")
    assert (misses(presence, p, ["intercept", "depth"]) < 1.5).all()
    region = presence.varcorr["region"]
    assert region.sd.to_numpy() == pytest.approx([p["sd_intercept"], p["sd_slope"]], rel=0.3)
    assert region.corr.loc["Intercept", "x"] == pytest.approx(p["corr"], abs=0.3)
    tadpoles = gl.glmer("tadpoles ~ hump + (1 | region)", frogs, family="binomial")
    assert (misses(tadpoles, t, ["intercept", "curvature"]) < 1.5).all()
    assert tadpoles.varcorr["region"].sd.iloc[0] == pytest.approx(t["sd_intercept"], rel=0.2)


def test_birds_the_correct_model_gives_back_the_truth():
    birds, truth = gl.load("birds"), gl.load_truth("birds")
    p = truth.parameters
    climate = by_group(birds, "site", truth, "climate")
    birds["within"], birds["between"] = birds["temperature"] - climate, climate - 10
    birds["wave"] = np.cos(2 * np.pi * (birds["month"] - p["season_peak_month"]) / 12)
    formula = (
        "count ~ within + between + wave + offset(np.log(minutes / 60)) + (1 | site) + (0 + within | site)"
    )
    fit = gl.glmer(formula, birds, family="negbinomial")
    assert (
        misses(fit, p, ["intercept", "temperature_within", "climate_between", "season_amplitude"]) < 1.5
    ).all()
    assert fit.dispersion == pytest.approx(p["k"], rel=0.3)
    assert fit.varcorr["site"].sd.to_numpy() == pytest.approx([p["sd_intercept"], p["sd_slope"]], rel=0.3)
    poisson = gl.glmer(formula, birds, family="poisson")
    assert fit.aic < poisson.aic - 100, "the extra variation must be plain to see"


def test_soil_the_same_fit_has_another_correlation_at_another_origin():
    soil = gl.load("soil_pH")
    raw = gl.lmer("ph_change ~ temperature + (temperature | site)", soil)
    centred = gl.lmer("ph_change ~ x + (x | site)", soil.assign(x=soil["temperature"] - 15))
    assert raw.llf == pytest.approx(centred.llf, abs=1e-6)
    assert raw.varcorr["site"].corr.iloc[0, 1] < -0.9
    assert centred.varcorr["site"].corr.iloc[0, 1] > 0.3


def test_birds_the_random_intercept_and_the_site_mean_find_nothing_within_sites():
    birds = gl.load("birds")
    birds["site_mean"] = birds.groupby("site", observed=True)["temperature"].transform("mean")
    intercepts = gl.lmer("np.log(count + 1) ~ temperature + (1 | site)", birds)
    mundlak = gl.lmer("np.log(count + 1) ~ temperature + site_mean + (1 | site)", birds)
    for fit in (intercepts, mundlak):
        assert abs(fit.params["temperature"]) < 1.5 * fit.bse["temperature"]
    assert mundlak.params["site_mean"] > 5 * mundlak.bse["site_mean"]
    null = gl.lmer("np.log(count + 1) ~ 1 + (1 | site)", birds)
    between = null.varcorr["site"].sd["Intercept"] ** 2
    assert 0.4 < between / (between + null.sigma**2) < 0.7
