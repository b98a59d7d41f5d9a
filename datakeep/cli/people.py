"""``datakeep people``."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.group import preformatted
from datakeep.cli.session import Answer, Session, table
from datakeep.cli.session import command as answering
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from datakeep.formats.person import Person


@answering(name="add")
@click.option("--name", help="Their name (default: yours, from git).")
@click.option("--email", help="Their e-mail (default: yours, from git).")
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path),
    help="Their public key file (default, for yourself: your own).",
)
def add(session: Session, name: str | None, email: str | None, key_path: Path | None) -> Answer:
    r"""Make a person known to the keep, or add a key to one who is.

    \b
    Example:
      datakeep people add
      datakeep people add --name 'Ken Sato' --email ken@corp.example --key ken.pub
    """
    from datakeep.attest.keys import default_path
    from datakeep.repository.identity import identity
    from datakeep.workflows import people

    keep = session.keep()
    who = identity(keep.root)
    mine = email in (None, who.email) and name in (None, who.name)
    path = key_path or (default_path() if mine and default_path().is_file() else None)
    done = people.add(
        keep,
        name=name,
        email=email,
        line=people.public_line(path) if path else None,
        who=who,
        now=datetime.now().astimezone(),
    )
    keys = len(done.person.keys)
    said = "added" if done.changed else "is there already, unchanged:"
    lines = [f"{said} {done.handle}: {done.person.name} <{done.person.email}>, {counted(keys, 'key')}"]
    if not keys:
        lines.append(
            "next: without a key they cannot sign proofs: datakeep key create, then datakeep people add"
        )
    return Answer(
        {"handle": done.handle, "changed": done.changed, **done.person.model_dump(mode="json")}, lines
    )


@answering(name="list")
def list_(session: Session) -> Answer:
    r"""List the people of the keep, what they own, and what is wrong with whom.

    Exit code 3: somebody's file cannot be read.

    \b
    Example:
      datakeep people list
    """
    from datakeep.workflows import people

    keep = session.keep()
    known = [(handle, person, people.owned_by(keep, person.email)) for handle, person in keep.people.items()]
    rows = [
        (
            handle,
            f"{person.name} <{person.email}>",
            str(sum(key.revoked is None for key in person.keys)),
            _state(person),
            ", ".join(owned) or "—",
        )
        for handle, person, owned in known
    ]
    data = [
        {"handle": handle, "owns": owned, **person.model_dump(mode="json")} for handle, person, owned in known
    ]
    broken = keep.roster.unreadable
    rows += [(one.handle, "?", "?", "cannot be read", "?") for one in broken]
    lines = table(rows, head=("HANDLE", "PERSON", "KEYS", "STATE", "OWNS"))
    lines += [f"cannot be read: {one.reason}" for one in broken]
    lines += [f"next: {one.next_step}" for one in broken[:1]]
    unreadable = [{"path": one.path, "reason": one.reason} for one in broken]
    return Answer({"people": data, "unreadable": unreadable}, lines, EXIT_NO if broken else 0)


def _state(person: Person) -> str:
    from datakeep.formats.person import looks_like_mail

    state = f"departed {person.departed}" if person.departed else "active"
    return state if looks_like_mail(person.email) else f"{state}, the e-mail is malformed"


@answering(name="depart")
@click.argument("handle")
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="The last day (default: today).")
def depart(session: Session, handle: str, day: datetime | None) -> Answer:
    r"""Record that a person has left: their keys no longer count, and their datasets need an owner.

    \b
    Example:
      datakeep people depart aiko --on 2026-12-31
    """
    from datakeep.repository.identity import identity
    from datakeep.workflows import people

    keep = session.keep()
    now = datetime.now().astimezone()
    on = day.date() if day else date.today()  # noqa: DTZ011  (the user's own calendar)
    person = people.depart(keep, handle, on=on, who=identity(keep.root), now=now)
    owned = people.owned_by(keep, person.email)
    lines = [f"{handle} ({person.name}) departed on {person.departed}"]
    if owned:
        lines.append(f"datasets without an owner now: {', '.join(owned)}")
        lines.append(f"next: datakeep update {owned[0]} --owner 'NAME <MAIL>' -m 'handed over'")
    return Answer({"handle": handle, "departed": str(person.departed), "owns": owned}, lines)


_HELP = r"""The people of the keep: who may prove what, with which keys, and who has left.

\b
Example:
  datakeep people list
  datakeep people add --name 'Ken Sato' --email ken@corp.example --key ken.pub
"""
command = click.Group(name="people", commands=[add, list_, depart], help=preformatted(_HELP))
