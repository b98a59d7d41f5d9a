"""``datakeep checkout``."""

from __future__ import annotations

from pathlib import Path

import click

from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session, size
from datakeep.cli.session import command as answering
from datakeep.core.counts import counted


@answering(name="checkout")
@click.argument("reference", metavar="NAME[@V]")
@click.argument("destination", metavar="[DEST]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--hard-links",
    is_flag=True,
    help="Share the files with a folder store on the same file system, read-only, to save room.",
)
def command(session: Session, reference: str, destination: Path | None, hard_links: bool) -> Answer:
    r"""Get a version's files, every byte read and found right, or nothing at all.

    Without DEST they go to datasets/NAME of the keep, as its git submodule. What comes out is an ordinary
    git working copy, which plain git and dvc can use.

    \b
    Example:
      datakeep checkout orders
      datakeep checkout orders@v2 ~/work/orders-v2
    """
    from datakeep.workflows.checkout import checkout

    done = checkout(session.keep(), reference, destination, hard_links=hard_links)
    entry = done.entry
    data = {
        "dataset": entry.dataset,
        "version": entry.version,
        "commit": entry.commit,
        "path": str(done.path),
        "created": done.created,
        "submodule": done.submodule,
        "files": done.files,
        "matching": done.files,
        "size_bytes": done.size_bytes,
        "linked": done.linked,
        "bad_copies": list(done.faults),
    }
    name = f"{entry.dataset}@{entry.version}"
    lines = [f"{name} {'is in' if done.created else 'was already in'} {done.path} ({size(done.size_bytes)})"]
    if done.linked:
        lines.append(
            f"{counted(done.linked, 'object')} shared with a store by hard links, read-only: copy a file before you "
            "change it"
        )
    elif done.linked == 0:
        lines.append("nothing could be hard-linked: no store lies on this file system; the files are copies")
    if done.faults:
        lines.append(
            "bad copies were met; another store had the files whole. Tell the vault's administrator:"
        )
        lines += some(done.faults, mark="!")
    lines += [f"{done.files}/{entry.files} files present and matching", f"next: cd {done.path}"]
    return Answer(data, lines)
