"""Loading the key that signs, and asking for its passphrase."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from datakeep.attest.keys import Signer
    from datakeep.cli.session import Session

key_option = click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path),
    help="Your private key (default: the one of `datakeep key create`).",
)


def load_signer(session: Session, key_path: Path | None) -> Signer:
    """The user's key.

    Raises:
        KeyFault: There is none, or it cannot be used.
    """
    from datakeep.attest.keys import default_path, load

    path = key_path or default_path()

    def ask() -> bytes:
        session.close()
        return str(click.prompt(f"passphrase of {path}", hide_input=True, err=True)).encode()

    return load(path, ask if session.interactive else None)
