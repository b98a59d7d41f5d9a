"""``datakeep log``."""

from __future__ import annotations

from dataclasses import asdict

import click

from datakeep.cli.session import Answer, Session, size, table
from datakeep.cli.session import command as answering


@answering(name="log")
@click.argument("name")
def command(session: Session, name: str) -> Answer:
    r"""List the versions of a dataset, the newest first: when, by whom, why, and whether the bytes changed.

    \b
    Example:
      datakeep log orders
    """
    from datakeep.workflows.history import history

    keep = session.keep()
    dataset = keep.resolve(name).name
    found = history(keep, name)
    data = {
        "dataset": dataset,
        "versions": [{**asdict(one), "at": one.at.isoformat()} for one in found],
    }
    words = {None: "first", True: "changed", False: "same"}
    rows = [
        (
            one.version,
            f"{one.at:%Y-%m-%d %H:%M}",
            one.by,
            f"{one.files:,}",
            size(one.size_bytes),
            words[one.content_changed],
            " ".join(one.message.split()),
        )
        for one in found
    ]
    lines = table(rows, head=("VERSION", "DATE", "BY", "FILES", "SIZE", "BYTES", "WHY"))
    last = (
        f"datakeep diff {dataset} tells what the newest changed"
        if len(found) > 1
        else f"datakeep show {dataset}"
    )
    return Answer(data, [*lines, "", f"next: {last}"])
