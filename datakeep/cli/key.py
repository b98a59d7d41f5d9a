"""``datakeep key``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakeep.cli.group import preformatted
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering

if TYPE_CHECKING:
    from datakeep.repository.identity import Identity
    from datakeep.workflows.keep import Keep


@answering(name="create")
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path),
    help="Where the key goes (default: your configuration folder).",
)
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase that protects it.")
def create(session: Session, key_path: Path | None, passphrase: bool) -> Answer:
    r"""Make the key that signs your proofs; in a keep, make it, or the one that you have, known there.

    Your own OpenSSH Ed25519 key serves as well: datakeep people add --key ~/.ssh/id_ed25519.pub

    \b
    Example:
      datakeep key create
    """
    from datakeep.attest import keys
    from datakeep.workflows import people

    path = key_path or keys.default_path()
    place = _place(session)  # before there is a key: without a git identity nothing could be recorded
    there = keys.existing(path) if place and not passphrase else None
    secret = (
        click.prompt("passphrase", hide_input=True, confirmation_prompt=True, err=True).encode()
        if passphrase
        else None
    )
    line = there or keys.create(path, secret)
    data = {"key": str(path), "public": line, "handle": None, "created": there is None}
    lines = [f"{'made the key' if there is None else 'the key that was there:'} {path}", f"  public: {line}"]
    if place is None:
        return Answer(data, [*lines, "next: in a keep: datakeep people add"])
    keep, who = place
    now = datetime.now().astimezone()
    done = people.add(keep, name=who.name, email=who.email, line=line, who=who, now=now)
    return Answer(
        {**data, "handle": done.handle}, [*lines, f"the keep {keep.name} knows it as {done.handle}'s"]
    )


def _place(session: Session) -> tuple[Keep, Identity] | None:
    """The keep, and who is at work in it; None outside of a keep."""
    from datakeep.core.errors import NotAKeep
    from datakeep.repository.identity import identity

    try:
        keep = session.keep()
    except NotAKeep:
        return None
    return keep, identity(keep.root)


_HELP = r"""The key that signs your proofs.

\b
Example:
  datakeep key create
"""
command = click.Group(name="key", commands=[create], help=preformatted(_HELP))
