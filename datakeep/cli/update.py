"""``datakeep update``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from datakeep.cli.changes import change_data, show_changes
from datakeep.cli.extraction import extraction_options, wanted
from datakeep.cli.facts import (
    already,
    asker,
    command_line,
    fact_options,
    given,
    next_after,
    profile_option,
    without_option,
)
from datakeep.cli.lean import lean_arrow
from datakeep.cli.session import Answer, Session, command


@command(name="update")
@click.argument("name")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("-m", "--message", metavar="WHY", help="Why there is a new version; a dry run needs none.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option(
    "--deep",
    is_flag=True,
    help="Read every file, also those unchanged since they were last hashed, and what the stores have of them; "
    "what is damaged there is written anew.",
)
@click.option("--normalise-names", is_flag=True, help="Bring file names into Unicode's NFC form.")
@click.option("--rerun", is_flag=True, help="Run the recorded query again; --param changes its parameters.")
@extraction_options
@profile_option
@without_option
@fact_options
def call(
    session: Session, name: str, sources: tuple[Path, ...], message: str | None, dry_run: bool, **options: Any
) -> Answer:
    r"""Make the next version of a dataset: new data, new facts, or both.

    Facts alone make a version with the same bytes. What changes is shown before anyone else can see it.

    \b
    Example:
      datakeep update orders ~/export/orders.csv -m 'October added'
      datakeep update orders --caveat 'batch entry until May' -m 'found while cleaning'
      datakeep update orders --rerun --param day=2026-12-01 -m 'November added'
    """
    if message is None:
        if not dry_run:
            ctx = click.get_current_context()
            why = next(one for one in ctx.command.params if one.name == "message")
            raise click.MissingParameter(ctx=ctx, param=why)
        message = "a dry run"
    stated = given(options)
    extraction = wanted({**options, "sources": sources}, stated, rerun=options["rerun"])
    if extraction is not None or sources:
        lean_arrow()
    from datakeep.repository.identity import identity
    from datakeep.workflows.register import Request
    from datakeep.workflows.update import update

    keep = session.keep()
    request = Request(
        name=name,
        sources=sources,
        given=stated,
        extraction=extraction,
        manifest=options["manifest"],
        normalise_names=options["normalise_names"],
        without_stores=options["without_stores"],
        profile=options["profile"],
        ask=asker(session),
        command=command_line("update", name, *sources, options=options) + " -m WHY",
        deep=options["deep"],
    )

    done = update(
        keep,
        request,
        message=message,
        review=lambda changes: show_changes(session, changes),
        who=identity(keep.root),
        now=datetime.now().astimezone(),
        dry_run=dry_run,
    )
    entry = done.entry
    data = {
        "dataset": entry.dataset,
        "version": entry.version,
        "created": done.created,
        "dry_run": dry_run,
        "files_not_read": done.unread,
        "changes": change_data(done.changes),
        "notes": list(done.notes),
    }
    if done.unread:
        count = f"{done.unread:,} file{'' if done.unread == 1 else 's'}"
        session.progress.note(f"{count} unchanged since last hashed, not read again (--deep reads all)")
    if done.created:
        return Answer(
            data,
            [
                f"registered {entry.dataset}@{entry.version}: {message}",
                next_after(entry),
            ],
        )
    if done.meanwhile:
        return Answer(data, [already(entry)])
    if done.changes:
        return Answer(data, ["a dry run: nothing was recorded"])
    same = "the query gives the same rows as" if extraction else "nothing differs from"
    made = "a dry run: there would be no new version" if dry_run else "no version was made"
    return Answer(data, [f"{same} {entry.dataset}@{entry.version}; {made}"])


command = call
