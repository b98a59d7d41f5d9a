"""Numbers keep their digits, whatever Python's own context would round."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

import datakeep
from datakeep.core.decimals import rounded, shifted, without_zeros

DIGITS = "1234567890" * 8
#: Those that state their own context; the second bounds it, as numbers of a foreign file may have any exponent.
_OWN_CONTEXT = {"decimals.py", "duckdb_json.py"}
_IN_PYTHONS_CONTEXT = re.compile(r"\.(normalize\(\)|quantize\(|scaleb\()")


def test_no_digit_is_lost():
    number = Decimal(DIGITS + "." + DIGITS + "000")
    assert str(without_zeros(number)) == DIGITS + "." + DIGITS.rstrip("0")
    assert str(shifted(Decimal(DIGITS), -3)) == f"{DIGITS[:-3]}.{DIGITS[-3:]}"
    assert int(shifted(Decimal(f"1.{DIGITS}"), 80)) == int("1" + DIGITS)
    assert str(rounded(Decimal(DIGITS + ".1234567"), Decimal("0.000001"))) == DIGITS + ".123457"
    assert without_zeros(Decimal("1e-999999")) == Decimal("1e-999999")


def test_what_rounds_in_pythons_own_context_is_used_nowhere():
    root = Path(datakeep.__file__).parent
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in sorted(root.rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if _IN_PYTHONS_CONTEXT.search(line) and path.name not in _OWN_CONTEXT
    ]
    assert found == []


@pytest.mark.parametrize("score", [1e22, 1.7e300])
def test_a_score_of_any_size_has_six_places(score):
    assert rounded(Decimal(repr(score)), Decimal("0.000001")) == Decimal(repr(score))
