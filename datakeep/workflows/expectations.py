"""What a user states of a training, before it is believed: expected numbers, and the command's two folders."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from datakeep.core.errors import UsageError
from datakeep.core.names import environment_variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_EXPECT = re.compile(r"(?P<metric>[^=]+)=(?P<value>[^±:]+?)((±|\+-|:)(?P<tolerance>.+))?")


def expectation(text: str) -> tuple[str, dict[str, float]]:
    """The metric, its value and tolerance (0 if none is given) of ``accuracy=0.95±0.01``.

    Raises:
        UsageError: It is not written so, or a number is not one that can be compared with.
    """
    match = _EXPECT.fullmatch(text)
    value, tolerance = _number(match and match["value"]), _number((match and match["tolerance"]) or "0")
    if match is None or value is None or tolerance is None:
        raise UsageError(
            f"{text!r} is not a metric with its value; both are finite numbers",
            next_step="write it as --expect accuracy=0.95±0.01",
        )
    if tolerance < 0:
        raise UsageError(
            f"{text!r} has a negative tolerance, which nothing could meet",
            next_step=f"write it as --expect {match['metric'].strip()}={value}±{-tolerance}",
        )
    return match["metric"].strip(), {"value": float(value), "tolerance": float(tolerance)}


def _number(text: str | None) -> Decimal | None:
    try:
        number = Decimal((text or "").strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and math.isfinite(float(number)) else None


def check_command(name: str, command: str) -> None:
    """A training must be told where to write: one folder alone is writable, and its place is not fixed.

    Raises:
        UsageError: The command does not name ``{out}``.
    """
    if "{out}" not in command:
        raise UsageError(
            "the command does not name {out}: only that folder can be written, and the metrics and the model are "
            "read from it",
            next_step=f"let the training take the folder as an argument: datakeep reference {name} "
            "--command 'python train.py --data {data} --out {out}'",
        )


def doubts(name: str, command: str | None, expect: Sequence[str]) -> Iterator[str]:
    """What is allowed, but seldom meant."""
    if command is not None and "{data}" not in command and f"{{{name}}}" not in command:
        yield (
            f"the command does not name {{data}}, the folder of the fetched data; the training must find it by "
            f"the variable {environment_variable(name)}, else it is not trained on this data"
        )
    for metric, expected in map(expectation, expect):
        if expected["tolerance"] == 0:
            yield (
                f"{metric} must be exactly {expected['value']}: other processors and library versions round "
                f"differently; give a tolerance (--expect {metric}={expected['value']}±0.01) or measure one "
                "(--measure 3)"
            )
