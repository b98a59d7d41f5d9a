"""How it is said that what was recorded is no longer what it was, by all commands that answer from it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_INCOMPLETE, EXIT_NO
from datakeep.cli.session import Answer
from datakeep.core.counts import counted
from datakeep.core.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from datakeep.workflows.keep import Keep
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


def unless_deleted(keep: Keep, subjects: Sequence[str], question: Callable[[], Answer]) -> Answer:
    """The answer to ``question``; of a name that the keep has no more: who deleted what, and how to see it.

    Args:
        keep: The keep.
        subjects: The names that were asked about.
        question: Asks.

    Raises:
        UnknownName: The keep does not know a name, and never did.
    """
    try:
        return question()
    except UnknownName as error:
        from datakeep.workflows.could_tell import deleted  # late: only for what is not there

        found = [one for subject in subjects for one in deleted(keep, subject)]
        if not found:
            raise
        what = error.what.partition("; did you mean ")[0]  # this very name was meant
        lines = [f"not answered: {what}; what was recorded under this name was deleted, as told above"]
        if step := found[0].next_step or error.next_step:
            lines.append(f"next: {step}")
        data = {"asked": list(subjects), "known": False, "deleted": [one.path for one in found]}
        return distrusted(Answer(data, lines, EXIT_NO), found)


def tampered_data(found: Sequence[Tampered]) -> list[dict[str, Any]]:
    """The same for ``--json``."""
    return [asdict(one) for one in found]
