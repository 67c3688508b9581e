"""Random effects whose covariances no response could tell apart are refused, and no others."""

import numpy as np
import pandas as pd
import pytest

import glmmlib as gl
from glmmlib.covariance.groups import arrange
from glmmlib.covariance.identifiability import check_covariances
from glmmlib.design.build import build_design
from glmmlib.errors import ModelError


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(12), 5)
    data = pd.DataFrame({"g": g.astype(str), "x": rng.normal(size=60), "kind": np.array(["a", "b"])[g % 2]})
    data["altitude"] = 100.0 * (g % 4)
    data["y"] = rng.normal(size=60) + g % 3
    return data


def check(formula, data):
    groups, _ = arrange(build_design(formula, data).random)
    check_covariances(groups)
    return groups[0]


def two_covariances_of_one_model(group):
    """Is there another covariance matrix that gives every level the same one? By dense linear algebra."""
    Z, codes = group.factor.Z, group.factor.codes
    free = np.argwhere(np.tril(group.covariance.free_covariances()))
    columns = []
    for i, j in free:
        delta = np.zeros((group.q, group.q))
        delta[i, j] = delta[j, i] = 1.0
        columns.append(
            np.concatenate([(z.T @ delta @ z).ravel() for z in (Z[:, codes == k] for k in range(12))])
        )
    return np.linalg.matrix_rank(np.column_stack(columns)) < len(free)


@pytest.mark.parametrize(
    ("term", "allowed"),
    [
        ("(kind | g)", False),
        ("(0 + kind | g)", False),
        ("(x + kind | g)", False),
        ("(1 | g) + (0 + kind | g)", False),
        ("(kind || g)", True),
        ("(x | g)", True),
        ("(altitude | g)", True),
        ("(x || g)", True),
        ("(x + altitude | g)", True),
    ],
)
def test_refused_exactly_where_two_covariances_give_one_model(rows, term, allowed):
    data = rows.assign(altitude=rows.altitude / 100)
    groups, _ = arrange(build_design(f"y ~ x + {term}", data).random)
    assert two_covariances_of_one_model(groups[0]) is not allowed
    if allowed:
        check(f"y ~ x + {term}", data)
    else:
        with pytest.raises(ModelError, match="no response could tell the variances and correlations"):
            check(f"y ~ x + {term}", data)


def test_the_message_names_term_column_and_group(rows):
    with pytest.raises(
        ModelError, match=r"\(kind \| g\) apart, because kind\[T.b\] does not vary within any level of 'g'"
    ):
        gl.lmer("y ~ x + (kind | g)", rows)


def test_glmer_refuses_as_well(rows):
    with pytest.raises(ModelError, match="no response could tell"):
        gl.glmer("count ~ x + (kind | g)", rows.assign(count=np.arange(60) % 3), family="poisson")


def test_a_far_origin_or_another_unit_changes_nothing(rows):
    for shift, unit in [(0, 1), (1e5, 1), (0, 1e-6), (288, 1e3)]:
        check("y ~ z + (z | g)", rows.assign(z=unit * (rows.x + shift)))
        with pytest.raises(ModelError):
            check("y ~ z + (kind | g)", rows.assign(z=unit * (rows.x + shift)))


def test_two_rows_a_level_are_enough_where_x_differs_between_levels(rows):
    few = rows.groupby("g", observed=True).head(2)
    check("y ~ x + (x | g)", few)
