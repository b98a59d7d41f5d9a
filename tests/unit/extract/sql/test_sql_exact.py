"""Every value the same, or an error that names it: without a server, at the edges of Arrow's types."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakeep.extract.sql.exact import Rule, exact
from datakeep.extract.sql.faults import NotExact

DIGITS = st.text("0123456789", min_size=1, max_size=90)


@given(DIGITS, st.one_of(st.just(""), DIGITS), st.sampled_from(["", "-"]), st.integers(1, 76), st.data())
@settings(deadline=None)
def test_a_decimal_is_the_number_or_refused(whole, fraction, sign, precision, data):
    scale = data.draw(st.integers(0, precision))
    target = (pa.decimal128 if precision <= 38 else pa.decimal256)(precision, scale)
    text = f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
    digits, places = whole.lstrip("0"), fraction.rstrip("0")
    array = pa.array(["0", None, text])
    if len(digits) > precision - scale or len(places) > scale:
        with pytest.raises(NotExact, match="column x, row 13"):
            exact(array, Rule("x", target), 11)
    else:
        assert exact(array, Rule("x", target), 11).to_pylist() == [0, None, Decimal(text)]


@pytest.mark.parametrize(
    ("text", "precision", "scale"),
    [
        ("35000", 37, 34),
        ("-35000", 37, 34),
        ("17014118346046923173168730371588410573", 38, 1),
        ("6" * 60, 76, 30),
    ],
)
def test_a_decimal_that_arrow_would_wrap_round_is_refused(text, precision, scale):
    """It multiplies by the scale first: 35000 became 971.76… without a word."""
    target = (pa.decimal128 if precision <= 38 else pa.decimal256)(precision, scale)
    with pytest.raises(NotExact, match="column x, row 1"):
        exact(pa.array([text]), Rule("x", target), 1)


@pytest.mark.parametrize(
    "text", ["000350.5", "-0.000000000000000000000000000000001", "999." + "9" * 34, "0" * 50]
)
def test_a_decimal_of_many_digits_that_fits_is_kept(text):
    assert exact(pa.array([text]), Rule("x", pa.decimal128(37, 34)), 1).to_pylist() == [Decimal(text)]


@given(st.integers(-(2**31), 2**31 - 1))
@settings(deadline=None)
def test_a_day_is_one_that_python_has_or_refused(days):
    array = pa.array([None, days], pa.int32()).cast(pa.date32())
    try:
        shown = (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        with pytest.raises(NotExact, match="column d, row 2"):
            exact(array, Rule("d", pa.date32()), 1)
    else:
        assert exact(array, Rule("d", pa.date32()), 1).to_pylist()[1].isoformat() == shown


@pytest.mark.parametrize(("moment", "kept"), [
    (datetime(1, 1, 1), True),  # noqa: DTZ001
    (datetime(9999, 12, 31, 23, 59, 59, 999999), True),  # noqa: DTZ001
    (-62135596800000001, False),
    (253402300800000000, False),
    (2**63 - 1, False),
    (-(2**63), False),
])  # fmt: skip
def test_moments_end_where_the_years_of_python_do(moment, kept):
    kind = pa.timestamp("us")
    array = pa.array([moment], kind) if kept else pa.array([moment], pa.int64()).cast(kind)
    if kept:
        assert exact(array, Rule("t", kind), 1).to_pylist() == [moment]
    else:
        with pytest.raises(NotExact, match="column t, row 1"):
            exact(array, Rule("t", kind), 1)


def test_the_row_of_a_value_within_lists_is_told():
    kind = pa.list_(pa.string())
    lists = pa.array([["1.5"], None, [], [None, "2.5", "x"], ["3"]], kind)
    with pytest.raises(NotExact, match=r"column l, row 104: 'x' is no decimal\(5, 2\)"):
        exact(lists, Rule("l", pa.list_(pa.decimal128(5, 2))), 101)
    kept = exact(lists.slice(0, 3), Rule("l", pa.list_(pa.decimal128(5, 2))), 1)
    assert kept.to_pylist() == [[Decimal("1.50")], None, []]
    assert exact(lists.slice(4), Rule("l", pa.list_(pa.decimal128(5, 2))), 1).to_pylist() == [
        [Decimal("3.00")]
    ]


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(NotExact) as caught:
        exact(pa.array(["9" * 500]), Rule("x", pa.decimal128(5, 2)), 1)
    assert len(caught.value.what) < 150


@pytest.mark.parametrize(
    ("value", "step"),
    [
        ("12345.6", "--decimal p=7,2 holds this value"),
        ("0.12345", "--decimal p=7,5 holds this value"),
        ("-123456789.125", "--decimal p=12,3 holds this value"),
        ("NaN", "--as-text p"),
        ("1e90", "--as-text p"),
    ],
)
def test_a_decimal_that_was_told_too_small_is_answered_with_one_that_is_not(value, step):
    with pytest.raises(NotExact, match="is no decimal") as caught:
        exact(pa.array([value]), Rule("p", pa.decimal128(4, 2), told=True), 1)
    assert step in caught.value.next_step
    with pytest.raises(NotExact) as caught:
        exact(pa.array([value]), Rule("p", pa.decimal128(4, 2)), 1)
    assert "--decimal" not in caught.value.next_step, "of a type of the database's own nobody has the choice"
