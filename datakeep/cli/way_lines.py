"""How the ways from data to models are shown: what each model read itself, and through what it was reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.cli.session import table
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.lineage.backwards import Way
    from datakeep.workflows.every_way import EveryWay
    from datakeep.workflows.file_verdicts import FileRead

#: Models that did not read it are counted beyond these.
_MAX_NOT_READ = 3


def read_lines(models: Sequence[FileRead], what: str) -> Iterator[str]:
    """A row for each model and version; those that did not read it come last, and are counted where they are many."""
    unread = [one for one in models if one.verdict == "not read"]
    shown = [one for one in models if one.verdict != "not read"]
    shown += unread if len(unread) <= _MAX_NOT_READ else []
    rows = [(one.model, one.dataset_version, one.verdict, one.why) for one in shown]
    if rows:
        yield from (f"  {line}" for line in table(rows, head=("MODEL", "USED", what, "BECAUSE")))
    if len(unread) > _MAX_NOT_READ:
        names = list(dict.fromkeys(one.model for one in unread))
        such = f"{', '.join(names[:_MAX_NOT_READ])}, …" if len(names) > _MAX_NOT_READ else ", ".join(names)
        yield f"  not read by {counted(len(names), 'other model')}: {such} (each with --json)"


def through_lines(found: EveryWay, what: str) -> Iterator[str]:
    """The ways through others: first those that begin with a model which did read it."""
    yield from way_lines(found.derived, f"derived from them (whether {what} went into these is not known):")
    yield from way_lines(found.carried, f"made of models that read {what}:")
    yield from way_lines(
        found.through, f"through others these versions went into (whether {what} did is not known):"
    )


def way_lines(ways: Sequence[Way], head: str) -> Iterator[str]:
    """A table of ways below ``head``; nothing where there is none."""
    if ways:
        yield head
        rows = [(str(way.end), str(way)) for way in ways]
        yield from (f"  {line}" for line in table(rows))


def next_model(found: EveryWay) -> str | None:
    """What to type next: about the first model that has it, or may."""
    first = next((one.model for one in found.models if one.verdict != "not read"), None)
    ways = (*found.carried, *found.through)
    name = first or (str(ways[0].end) if ways else found.models[0].model if found.models else None)
    return f"next: datakeep audit model:{name}" if name else None


def ways_data(ways: Sequence[Way]) -> list[dict[str, Any]]:
    """The same for ``--json``."""
    return [
        {"name": str(way.end), "way": [str(node) for node in way.nodes], "steps": list(way.hows)}
        for way in ways
    ]


def through_data(found: EveryWay) -> list[dict[str, Any]]:
    """The ways to models; ``read`` is whether the first model on the way is known to have read it."""
    return [
        *({**one, "read": True} for one in ways_data(found.carried)),
        *({**one, "read": False} for one in ways_data(found.through)),
    ]
