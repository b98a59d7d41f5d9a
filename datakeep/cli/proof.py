"""``datakeep proof``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering


@answering(name="add")
@click.argument("file", type=click.Path(path_type=Path))
def add(session: Session, file: Path) -> Answer:
    r"""Hand in a proof that was made by someone who may not push to the keep.

    \b
    Example:
      datakeep proof add orders-v3-2026-11-22T091203Z-ken.dsse.json
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows.proof import hand_in

    keep = session.keep()
    done = hand_in(keep, file, who=identity(keep.root), now=datetime.now().astimezone())
    result = "passed" if done.passed else "failed"
    return Answer(
        {"proof": done.path, "by": done.by, "result": result},
        [f"handed in: {done.path}, by {done.by}, {result}"],
    )


@click.group(name="proof", commands=[add])
def command() -> None:
    """Proofs that were made without the right to push."""
