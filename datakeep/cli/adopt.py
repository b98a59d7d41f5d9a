"""``datakeep adopt``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from datakeep.cli.facts import asker, command_line, fact_options, given, next_after, without_option
from datakeep.cli.session import Answer, Session, command, size
from datakeep.core.counts import counted


@command(name="adopt")
@click.argument("repository", metavar="URL-OR-PATH")
@click.option("--name", required=True, help="The dataset's name in the keep.")
@click.option(
    "--data",
    metavar="PATH",
    multiple=True,
    help="The folder that is the data; or several folders, files or DVC outputs. Without it: data/, or all outputs.",
)
@click.option("--normalise-names", is_flag=True, help="Bring file names into Unicode's NFC form.")
@click.option("--credential-helper", help="Let git ask this credential helper of yours (https).")
@click.option(
    "--ssh-key", type=click.Path(path_type=Path), help="The ssh key to clone with; else the agent is asked."
)
@without_option
@fact_options
def call(session: Session, repository: str, name: str, data: tuple[str, ...], **options: Any) -> Answer:
    r"""Make a dataset of an existing git or DVC repository, with its history.

    Only what is committed counts. Its branches and tags are kept in the vault; DVC's objects are found in its
    cache and remotes, checked, and copied. The repository itself is not changed, and nothing of it is run.

    \b
    Example:
      datakeep adopt git@git.corp.example:ml/bearings.git --name bearings \
        --purpose 'Predict bearing failure' --origin 'line 3' --extracted-at 2024-05-01 \
        --no-annotation 'labels come from the repair log' --privacy no --license internal --access 'ask Aiko'
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows.adopt import adopt
    from datakeep.workflows.clean_room import access_for
    from datakeep.workflows.register import Request

    keep = session.keep()
    typed = {**options, "name": name, "data": data}
    request = Request(
        name=name,
        given=given(options),
        manifest=options["manifest"],
        normalise_names=options["normalise_names"],
        without_stores=options["without_stores"],
        ask=asker(session),
        command=command_line("adopt", repository, options=typed),
    )
    done = adopt(
        keep,
        request,
        repository,
        data=data,
        access=access_for(keep, ssh_key=options["ssh_key"], credential_helper=options["credential_helper"]),
        who=identity(keep.root),
        now=datetime.now().astimezone(),
    )
    entry = done.entry
    label = f"{entry.dataset}@{entry.version}"
    answer = {
        "dataset": entry.dataset,
        "version": entry.version,
        "created": done.created,
        "notes": list(done.notes),
        "entry": entry.model_dump(mode="json"),
    }
    facts = f"{counted(entry.files, 'file')}, {size(entry.size_bytes)}, content {entry.content[:19]}…"
    if not done.created:
        return Answer(answer, [f"{label} is adopted already ({facts}); nothing was done"])
    lines = [f"{entry.message}, as {label}: {facts}, bytes in {', '.join(entry.stores)}"]
    return Answer(answer, [*lines, *(f"note: {note}" for note in done.notes), next_after(entry)])


command = call
