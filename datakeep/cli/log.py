"""``datakeep log``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from datakeep.cli.session import Answer, Session, size, table
from datakeep.cli.session import command as answering
from datakeep.cli.tampered_lines import distrusted, unless_deleted

if TYPE_CHECKING:
    from datakeep.workflows.history import LoggedVersion
    from datakeep.workflows.keep import Keep


@answering(name="log")
@click.argument("name")
def command(session: Session, name: str) -> Answer:
    r"""List the versions of a dataset, the newest first: when, by whom, why, and whether the bytes changed.

    Exit code 3: an entry was changed or deleted since it was recorded.

    \b
    Example:
      datakeep log orders
    """
    keep = session.keep()

    def question() -> Answer:
        from datakeep.workflows.written_once import changed_below

        answer = _answer(keep, name)
        return distrusted(answer, changed_below(keep, f"register/{answer.data['dataset']}/"))

    return unless_deleted(keep, [f"dataset:{name.removeprefix('dataset:')}"], question)


def _answer(keep: Keep, name: str) -> Answer:
    from datakeep.workflows.history import history
    from datakeep.workflows.register_entries import entry_path

    dataset = keep.resolve(name).name
    found = history(keep, name)
    data = {
        "dataset": dataset,
        "versions": [{**asdict(one), "at": one.at.isoformat() if one.at else None} for one in found],
    }
    rows = [_row(one, first=one is found[-1]) for one in found]
    lines = table(rows, head=("VERSION", "DATE", "BY", "FILES", "SIZE", "BYTES", "WHY"))
    broken = [one for one in found if one.fault]
    if broken:
        step = f"git log -- {entry_path(dataset, broken[0].version)}"
        return Answer(data, [*lines, "", f"next: restore {broken[0].version} from history: {step}"])
    last = (
        f"datakeep diff {dataset} tells what the newest changed"
        if len(found) > 1
        else f"datakeep show {dataset}"
    )
    return Answer(data, [*lines, "", f"next: {last}"])


def _row(one: LoggedVersion, *, first: bool) -> tuple[str, ...]:
    unknown = "first" if first else "unknown"
    return (
        one.version,
        f"{one.at:%Y-%m-%d %H:%M}" if one.at else "?",
        one.by or "?",
        "?" if one.files is None else f"{one.files:,}",
        "?" if one.size_bytes is None else size(one.size_bytes),
        "?" if one.fault else {None: unknown, True: "changed", False: "same"}[one.content_changed],
        f"cannot be read: {one.fault}" if one.fault else " ".join((one.message or "").split()),
    )
