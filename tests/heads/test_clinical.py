"""Clinical values as numbers, with medians of the fitted patients only."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from lymphofeat.errors import InputError
from lymphofeat.heads.clinical import ClinicalFeatures

NAN = float("nan")


def table(ages: list[float], sexes: list[str], counts: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"age": ages, "sex": sexes, "count": counts})


def test_values_medians_and_indicators() -> None:
    fitted = ClinicalFeatures().fit(table([40, 60, 80], ["M", "F", "M"], [1, np.e, np.e**2]))
    got = fitted.transform(table([50, NAN, 70], ["", "F", "M"], [np.e, 1, NAN]))
    expected = [[50, 1, 1, 0, 0, 1], [60, 0, 0, 1, 0, 0], [70, 1, 1, 0, 1, 0]]
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert list(fitted.get_feature_names_out()) == [
        "age", "log_count", "male", "age_missing", "log_count_missing", "male_missing",
    ]  # fmt: skip


def test_all_missing_is_a_constant_not_a_warning() -> None:
    empty = table([NAN] * 3, [""] * 3, [NAN] * 3)
    got = clone(ClinicalFeatures()).fit(empty).transform(empty)
    np.testing.assert_array_equal(got, [[0, 0, 0, 1, 1, 1]] * 3)


def test_a_count_of_zero_and_an_infinite_age() -> None:
    got = ClinicalFeatures().fit(table([50], ["M"], [5])).transform(table([np.inf], ["M"], [0]))
    np.testing.assert_allclose(got, [[50, np.log(0.1), 1, 1, 0, 0]])


def test_the_shortcuts_are_not_looked_at() -> None:
    plain = table([50, 60], ["M", "F"], [3, 4])
    odd = plain.assign(n_images=[1, 900], birth=["1950-01-01", ""], date_order=["m/d/y", "d-m-y"])
    np.testing.assert_array_equal(
        ClinicalFeatures().fit_transform(odd), ClinicalFeatures().fit_transform(plain)
    )


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="no column 'count'"):
        ClinicalFeatures().fit(table([1], ["M"], [1]).drop(columns="count"))
