"""``datakeep register``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from datakeep.cli.extraction import extraction_options, wanted
from datakeep.cli.facts import (
    asker,
    command_line,
    fact_options,
    given,
    next_after,
    profile_option,
    without_option,
)
from datakeep.cli.lean import lean_arrow
from datakeep.cli.session import Answer, Session, command, size
from datakeep.core.counts import counted


@command(name="register")
@click.argument("name")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--backend",
    type=click.Choice(["git", "dvc"]),
    help="How the bytes are kept: in git history, or as DVC objects.",
)
@click.option("--normalise-names", is_flag=True, help="Bring file names into Unicode's NFC form.")
@extraction_options
@profile_option
@without_option
@fact_options
def call(session: Session, name: str, sources: tuple[Path, ...], **options: Any) -> Answer:
    r"""Register a dataset: its bytes, and what is known of it, as version 1.

    SOURCE is files, or one folder whose contents become the data. In its place, --sql FILE and --database URL run a
    query: its rows become the data, as Parquet, and datakeep records what it ran. What can be known fills itself;
    what cannot is asked for on a terminal, and listed in one error elsewhere. 'unknown' is an answer.

    \b
    Example:
      datakeep register orders ~/export/orders.csv --backend git \
        --purpose 'Predict the orders of the next month' --origin 'warehouse, schema sales' \
        --extracted-at 2026-11-20 --no-annotation 'labels are the booked quantities' \
        --privacy no --license internal --access 'ask the warehouse team'
      datakeep register orders --sql orders.sql --database postgresql://dwh.corp.example/sales \
        --param day=2026-11-01 --manifest facts.yaml
    """
    stated = given(options)
    extraction = wanted({**options, "sources": sources}, stated)
    if extraction is None and not sources:
        raise click.UsageError("Missing argument 'SOURCE...', or --sql FILE --database URL.")
    lean_arrow()
    from datakeep.repository.identity import identity
    from datakeep.workflows.register import Request, register

    keep = session.keep()
    request = Request(
        name=name,
        sources=sources,
        given=stated,
        extraction=extraction,
        backend=options["backend"],
        manifest=options["manifest"],
        normalise_names=options["normalise_names"],
        without_stores=options["without_stores"],
        profile=options["profile"],
        ask=asker(session),
        command=command_line("register", name, *sources, options=options),
    )
    done = register(keep, request, who=identity(keep.root), now=datetime.now().astimezone())
    entry = done.entry
    label = f"{entry.dataset}@{entry.version}"
    data = {
        "dataset": entry.dataset,
        "version": entry.version,
        "created": done.created,
        "entry": entry.model_dump(mode="json"),
        "notes": list(done.notes),
    }
    where = ", ".join(entry.stores) if entry.stores else "git"
    amount = f"{counted(entry.files, 'file')}, {size(entry.size_bytes)}"
    if extraction is not None:
        amount = f"{counted(entry.manifest['source']['rows'], 'row')}, {amount}"
    facts = f"{amount}, content {entry.content[:19]}…, bytes in {where}"
    if not done.created:
        return Answer(data, [f"{label} is registered already, unchanged ({facts}); nothing was done"])
    lines = [f"registered {label}: {facts}", *(f"note: {note}" for note in done.notes)]
    return Answer(data, [*lines, next_after(entry)])


command = call
