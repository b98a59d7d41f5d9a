"""Reads the metrics file of a training: a flat JSON object of finite numbers, kept as exact decimals."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation

#: A file of metrics is small; a larger one is something else.
LIMIT_BYTES = 2**20
#: Numbers beyond 10^±400 are no measurement, and would fill a screen when written out.
_MAX_EXPONENT = 400
#: More names than this are no metrics; nobody could write them all down.
MAX_COUNT = 10_000
#: In the place of a number that no decimal can hold.
_BEYOND = Decimal("1E+999999")


class NotMetrics(ValueError):
    """The text is no metrics; says why, in words that go after the file's name."""


def parse(data: bytes) -> dict[str, Decimal]:
    """The metrics by name, as the exact decimals that the file holds.

    Raises:
        NotMetrics: It is not a flat JSON object of finite numbers; names the metric at fault.
    """
    if len(data) > LIMIT_BYTES:
        raise NotMetrics(f"is larger than {LIMIT_BYTES} bytes")
    try:
        found = json.loads(data, parse_float=number_of, parse_int=number_of, parse_constant=Decimal)
    except UnicodeDecodeError as error:
        raise NotMetrics("is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise NotMetrics(f"is not JSON: {error}") from error
    if not isinstance(found, dict) or not found:
        raise NotMetrics('is not a JSON object of numbers, such as {"accuracy": 0.93}')
    if len(found) > MAX_COUNT:
        raise NotMetrics(f"has {len(found):,} numbers; {MAX_COUNT:,} are the most")
    return {name: _number(name, value) for name, value in found.items()}


def number_of(text: str) -> Decimal:
    """A number of JSON, all digits of it; one that is beyond every measurement may become another such."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return _BEYOND


def is_measurement(value: Decimal) -> bool:
    """Whether a number that was printed or written may be what somebody measured."""
    return value.is_finite() and abs(value.adjusted()) <= _MAX_EXPONENT


def _number(name: str, value: object) -> Decimal:
    if not isinstance(value, Decimal):
        raise NotMetrics(f"has {name!r}, which is not a number")
    if not value.is_finite():
        raise NotMetrics(f"has {name!r}, which is {value}, not a finite number")
    if not is_measurement(value):
        raise NotMetrics(f"has {name!r}, which is too large or too small to be a measurement")
    return value
