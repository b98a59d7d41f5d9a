"""``datakeep key``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from datakeep.cli.group import preformatted
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering


@answering(name="create")
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path),
    help="Where the key goes (default: your configuration folder).",
)
@click.option("--passphrase", is_flag=True, help="Ask for a passphrase that protects it.")
def create(session: Session, key_path: Path | None, passphrase: bool) -> Answer:
    r"""Make the key that signs your proofs; in a keep, make it known there too.

    Your own OpenSSH Ed25519 key serves as well: datakeep people add --key ~/.ssh/id_ed25519.pub

    \b
    Example:
      datakeep key create
    """
    from datakeep.attest import keys
    from datakeep.core.errors import NotAKeep
    from datakeep.repository.identity import identity
    from datakeep.workflows import people

    path = key_path or keys.default_path()
    secret = (
        click.prompt("passphrase", hide_input=True, confirmation_prompt=True, err=True).encode()
        if passphrase
        else None
    )
    line = keys.create(path, secret)
    data = {"key": str(path), "public": line, "handle": None}
    lines = [f"made the key {path}", f"  public: {line}"]
    try:
        keep = session.keep()
    except NotAKeep:
        return Answer(data, [*lines, "next: in a keep: datakeep people add"])
    who = identity(keep.root)
    now = datetime.now().astimezone()
    done = people.add(keep, name=who.name, email=who.email, line=line, who=who, now=now)
    return Answer(
        {**data, "handle": done.handle}, [*lines, f"the keep {keep.name} knows it as {done.handle}'s"]
    )


_HELP = r"""The key that signs your proofs.

\b
Example:
  datakeep key create
"""
command = click.Group(name="key", commands=[create], help=preformatted(_HELP))
