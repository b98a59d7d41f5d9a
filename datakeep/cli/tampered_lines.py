"""How it is said that what was recorded is no longer what it was, by all commands that answer from it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_INCOMPLETE, EXIT_NO
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.cli.session import Answer
    from datakeep.workflows.written_once import Tampered

_SHOWN = 10


def tampered_lines(found: Sequence[Tampered]) -> Iterator[str]:
    """Before the answer, since it may not be the true one."""
    if not found:
        return
    head = f"do not trust this answer: {counted(len(found), 'thing')} behind it is not as recorded"
    yield click.style(head if len(found) == 1 else head.replace(" is ", " are "), fg="red", bold=True)
    for one in found[:_SHOWN]:
        yield f"  ! {one.what}"
        yield from (f"      {line}" for line in one.evidence)
        if one.next_step:
            yield f"      next: {one.next_step}"
    if len(found) > _SHOWN:
        yield f"  … and {len(found) - _SHOWN:,} more (all with --json)"


def distrusted(answer: Answer, found: Sequence[Tampered]) -> Answer:
    """``answer`` with what is not as recorded before it, as ``tampered`` in its data, and as its exit code."""
    return replace(
        answer,
        data={**answer.data, "tampered": tampered_data(found)},
        lines=[*tampered_lines(found), *answer.lines],
        # What is incomplete stays so: 3 could be taken for a "no".
        code=EXIT_NO if found and answer.code != EXIT_INCOMPLETE else answer.code,
    )


def tampered_data(found: Sequence[Tampered]) -> list[dict[str, Any]]:
    """The same for ``--json``."""
    return [asdict(one) for one in found]
