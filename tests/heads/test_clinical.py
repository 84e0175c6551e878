"""Clinical values as numbers, with medians of the fitted patients only."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from lymphofeat.errors import InputError
from lymphofeat.heads.clinical import ClinicalFeatures

NAN = float("nan")


def table(ages: list[float], sexes: list[str], counts: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"age": ages, "sex": sexes, "lymphocyte_count": counts})


def test_values_medians_and_indicators() -> None:
    fitted = ClinicalFeatures(missing_indicator=True).fit(
        table([40, 60, 80], ["M", "F", "M"], [1, np.e, np.e**2])
    )
    got = fitted.transform(table([50, NAN, 70], ["", "F", "M"], [np.e, 1, NAN]))
    expected = [[50, 1, 1, 0, 0, 1], [60, 0, 0, 1, 0, 0], [70, 1, 1, 0, 1, 0]]
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert list(fitted.get_feature_names_out()) == [
        "age", "log_count", "male", "age_missing", "log_count_missing", "male_missing",
    ]  # fmt: skip


def test_all_missing_is_a_constant_not_a_warning() -> None:
    empty = table([NAN] * 3, [""] * 3, [NAN] * 3)
    got = clone(ClinicalFeatures(missing_indicator=True)).fit(empty).transform(empty)
    np.testing.assert_array_equal(got, [[0, 0, 0, 1, 1, 1]] * 3)


def test_that_a_value_is_missing_is_looked_at_only_if_asked_for() -> None:
    known = table([40, 60, 80], ["M", "F", "M"], [1, 2, 3])
    fitted = ClinicalFeatures().fit(known)
    got = fitted.transform(table([60, NAN], ["M", ""], [2, NAN]))
    np.testing.assert_array_equal(got[0], got[1])
    assert list(fitted.get_feature_names_out()) == ["age", "log_count", "male"]


def test_features_stored_before_there_was_the_choice_keep_their_indicators() -> None:
    """A stored object is its attributes, and those of before lack the newer arguments."""
    known = table([40, 60, 80], ["M", "F", "M"], [1, 2, NAN])
    wanted = ClinicalFeatures(missing_indicator=True).fit(known)
    old = object.__new__(ClinicalFeatures)
    newer = ("missing_indicator", "clinical_values", "categories_")
    vars(old).update({name: value for name, value in vars(wanted).items() if name not in newer})
    np.testing.assert_array_equal(old.transform(known), wanted.transform(known))
    np.testing.assert_array_equal(clone(old).fit(known).transform(known), wanted.transform(known))


def test_a_count_of_zero_and_an_infinite_age() -> None:
    got = ClinicalFeatures().fit(table([50], ["M"], [5])).transform(table([np.inf], ["M"], [0]))
    np.testing.assert_allclose(got, [[50, np.log(0.1), 1]])


def test_the_shortcuts_are_not_looked_at() -> None:
    plain = table([50, 60], ["M", "F"], [3, 4])
    odd = plain.assign(n_images=[1, 900], birth=["1950-01-01", ""], date_order=["m/d/y", "d-m-y"])
    np.testing.assert_array_equal(
        ClinicalFeatures().fit_transform(odd), ClinicalFeatures().fit_transform(plain)
    )


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="no column 'lymphocyte_count'"):
        ClinicalFeatures().fit(table([1], ["M"], [1]).drop(columns="lymphocyte_count"))


def test_interactions_are_products_from_the_medians() -> None:
    fitted = ClinicalFeatures(interaction=True).fit(table([40, 60, 80], ["M", "F", "M"], [1, np.e, np.e**2]))
    got = fitted.transform(table([50, NAN, 70], ["F", "M", ""], [np.e**2, 1, 1]))
    np.testing.assert_allclose(got[:, 3:], [[-10, 10, -1], [0, 0, 0], [-10, 0, 0]], atol=1e-12)
    assert list(fitted.get_feature_names_out()[3:]) == ["age*log_count", "age*male", "log_count*male"]


@pytest.mark.parametrize("value", ["age", "log_count"])
def test_a_spline_spans_lines_and_bends_at_its_knots(value: str) -> None:
    rng = np.random.default_rng(0)
    ages, counts = rng.uniform(20, 90, 50), np.exp(rng.normal(2, 1, 50))
    drawn = table(list(ages), ["M", "F"] * 25, list(counts))
    fitted = ClinicalFeatures(spline=value).fit(drawn)
    basis = fitted.transform(drawn)[:, 3:]
    x = ages if value == "age" else np.log(counts)
    knots = np.quantile(x, [1 / 3, 2 / 3])
    # A cubic spline: any cubic, and any (x - knot)³₊ at an inner knot, up to the constant.
    wanted = np.column_stack([x, x**2, x**3, *(np.maximum(x - k, 0) ** 3 for k in knots)])
    inside = np.column_stack([basis, np.ones(50)])
    for column in wanted.T:
        fit = inside @ np.linalg.lstsq(inside, column, rcond=None)[0]
        np.testing.assert_allclose(fit, column, rtol=1e-6, atol=1e-8 * column.max())
    assert basis.shape[1] == np.linalg.matrix_rank(inside) - 1 == 5
    # Straight beyond the outermost patients.
    far = [[120, 140, 160], [1e3, 1e4, 1e5]]
    beyond = fitted.transform(table(far[0], ["M"] * 3, far[1]))[:, 3:]
    np.testing.assert_allclose(np.diff(beyond, n=2, axis=0), 0, atol=1e-9)


def test_a_spline_without_four_values_is_zero() -> None:
    same = table([50] * 6, ["M"] * 6, [5] * 6)
    fitted = ClinicalFeatures(spline="age").fit(same)
    got = fitted.transform(same)
    np.testing.assert_array_equal(got[:, 3:], np.zeros((6, 5)))
    assert len(fitted.get_feature_names_out()) == got.shape[1]
