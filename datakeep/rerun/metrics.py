"""Reads the metrics file of a training: a flat JSON object of finite numbers, kept as exact decimals."""

from __future__ import annotations

import json
from decimal import Decimal

#: A file of metrics is small; a larger one is something else.
LIMIT_BYTES = 2**20
#: Numbers beyond 10^±400 are no measurement, and would fill a screen when written out.
_MAX_EXPONENT = 400


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
        found = json.loads(data, parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal)
    except UnicodeDecodeError as error:
        raise NotMetrics("is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise NotMetrics(f"is not JSON: {error}") from error
    if not isinstance(found, dict) or not found:
        raise NotMetrics('is not a JSON object of numbers, such as {"accuracy": 0.93}')
    return {name: _number(name, value) for name, value in found.items()}


def _number(name: str, value: object) -> Decimal:
    if not isinstance(value, Decimal):
        raise NotMetrics(f"has {name!r}, which is not a number")
    if not value.is_finite():
        raise NotMetrics(f"has {name!r}, which is {value}, not a finite number")
    if value and abs(value.adjusted()) > _MAX_EXPONENT:
        raise NotMetrics(f"has {name!r}, which is too large or too small to be a measurement")
    return value
