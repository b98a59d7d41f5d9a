"""``datakeep vault``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.group import preformatted
from datakeep.cli.session import Answer, Session, size, table
from datakeep.cli.session import command as answering
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from datakeep.workflows.vault_stores import Place


@answering(name="list")
def list_(session: Session) -> Answer:
    r"""List the git base and the stores, with the space that they have left, or why they cannot be used.

    Exit code 0: all answer; 3: one does not.

    \b
    Example:
      datakeep vault list
    """
    from datakeep.workflows.vault_stores import places

    found = places(session.keep())
    rows = [(one.name, one.url, _state(one)) for one in found]
    data = {"places": [asdict(one) for one in found]}
    return Answer(
        data, table(rows, head=("NAME", "URL", "STATE")), EXIT_NO if any(one.fault for one in found) else 0
    )


def _state(place: Place) -> str:
    if place.fault:
        return place.fault
    words = "read-only" if place.writable is False else "reachable"
    return words if place.free_bytes is None else f"{words}, {size(place.free_bytes)} free"


@answering(name="add")
@click.argument("name")
@click.argument("url")
def add(session: Session, name: str, url: str) -> Answer:
    r"""Add a store, and copy every registered byte into it; each object is hashed on its way.

    The keep names the store only when it holds everything. Run it again to go on after an interruption.

    \b
    Example:
      datakeep vault add nas /mnt/nas/keep
      datakeep vault add cloud 's3://bucket/keep?endpoint_url=https://s3.corp.example&region=eu-1'
      datakeep vault add attic ssh://attic.corp.example/srv/keep
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows.vault_stores import add_store

    keep = session.keep()
    done = add_store(keep, name, url, who=identity(keep.root), now=datetime.now().astimezone())
    copied = f"{counted(done.copied, 'object')} copied ({size(done.size_bytes)})"
    objects = f"{copied}, {done.present:,} {'was' if done.present == 1 else 'were'} there, every byte hashed"
    held = counted(done.versions, "version")
    head = f"store {name} {'added' if done.created else 'is filled'}: it holds {held} ({objects})"
    stores, copies = len(keep.file.vault.stores), keep.file.policy.copies
    lines = [head]
    if stores > copies:
        lines.append(f"policy.copies in keep.yaml is {copies}; with {stores} stores it can be {stores}")
    lines.append("next: datakeep vault list")
    data = {
        "store": name,
        "url": done.url,
        "created": done.created,
        "versions": done.versions,
        "objects_copied": done.copied,
        "objects_present": done.present,
        "size_bytes": done.size_bytes,
    }
    return Answer(data, lines)


@answering(name="remove")
@click.argument("name")
@click.option("-m", "--message", metavar="WHY", default="", help="Why the store goes.")
@click.option(
    "--below-policy",
    is_flag=True,
    help="Go on where versions are left with fewer copies than policy.copies asks for.",
)
def remove(session: Session, name: str, message: str, below_policy: bool) -> Answer:
    r"""Take a store out of the keep; nothing in it is deleted or changed.

    Refused while a version would have no copy in the stores that remain, which are looked at first.

    \b
    Example:
      datakeep vault remove nas -m 'the NAS is switched off in March'
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows.store_removal import remove_store

    keep = session.keep()
    done = remove_store(
        keep,
        name,
        message=message,
        below_policy=below_policy,
        who=identity(keep.root),
        now=datetime.now().astimezone(),
    )
    lines = [f"store {name} left the keep; nothing in it was deleted or changed: its bytes lie at {done.url}"]
    if count := len(done.below_policy):
        held = "1 version has" if count == 1 else f"{count} versions have"
        lines.append(f"{held} fewer copies now than the {keep.file.policy.copies} that the policy asks for")
        lines.append("next: datakeep vault add NAME URL")
    else:
        lines.append("next: datakeep vault list")
    return Answer({"store": name, "url": done.url, "below_policy": list(done.below_policy)}, lines)


@answering(name="check")
@click.argument("names", metavar="[NAME]...", nargs=-1)
def check(session: Session, names: tuple[str, ...]) -> Answer:
    r"""Tell whether the stores are set up so that what lies there survives, and what to do where not.

    Of S3: versioning, object lock, encryption, public access, life cycle, whether these credentials may delete
    (a random name that nothing has is deleted), the clock. Of folders: the disk, the mount, free space, rights.
    Exit code 3: something is not good.

    \b
    Example:
      datakeep vault check
      datakeep vault check cloud --json
    """
    from datakeep.workflows.vault_check import check_stores

    found = check_stores(session.keep(), names)
    lines: list[str] = []
    for store in found:
        lines.append(f"{store.name} ({store.url})")
        rows = [(f"  {one.name}", str(one.outcome), one.what) for one in store.checks]
        lines += table(rows)
        lines += [f"  next: {one.advice}" for one in store.checks if one.advice]
    data = {
        "good": all(store.is_good for store in found),
        "stores": [
            {"name": store.name, "url": store.url, "checks": [asdict(one) for one in store.checks]}
            for store in found
        ],
    }
    return Answer(data, lines, 0 if data["good"] else EXIT_NO)


_HELP = r"""The stores of the vault: where the bytes must survive.

\b
Example:
  datakeep vault list
  datakeep vault add nas /mnt/nas/keep
"""
command = click.Group(name="vault", commands=[list_, add, remove, check], help=preformatted(_HELP))
