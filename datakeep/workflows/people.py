"""``people`` and ``key``: who may prove what, and with which keys."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.attest import keys
from datakeep.core.errors import AlreadyExists, Conflict, InvalidFile, KeyFault, UnknownName, UsageError
from datakeep.core.names import nearest
from datakeep.formats import yaml
from datakeep.formats.base import validate
from datakeep.formats.person import Person, looks_like_mail
from datakeep.repository.keep import Change
from datakeep.workflows.facts import check_writable
from datakeep.workflows.roster import Roster, roster_of, same_email

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime
    from pathlib import Path

    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class Added:
    """What became of ``people add``: the handle, and whether anything changed."""

    handle: str
    person: Person
    changed: bool


def new_person(
    name: str, email: str, lines: Sequence[str], day: date, *, taken: Collection[str]
) -> tuple[str, Person]:
    """A person and a free handle, made from the e-mail.

    Raises:
        InvalidFile: The name is empty or the e-mail is none.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", email.partition("@")[0].lower()).strip("-") or "person"
    handle, number = stem, 2
    while handle in taken:
        handle, number = f"{stem}-{number}", number + 1
    fields = {
        "format": Person.format_line(),
        "name": name,
        "email": email,
        "keys": [{"key": line, "added": day.isoformat()} for line in lines],
    }
    return handle, validate(Person, fields, f"the person {name!r}")


def public_line(path: Path) -> str:
    """The public key in ``path``: an OpenSSH public key file, or the one beside a private key file.

    Raises:
        KeyFault: There is none, or it is of a kind that cannot sign proofs.
    """
    public = path if path.suffix == ".pub" else path.with_name(f"{path.name}.pub")
    if not public.is_file():
        raise KeyFault(f"there is no public key at {public}", next_step="datakeep key create")
    try:
        words = public.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFault(f"{public} cannot be read as a public key", next_step="datakeep key create") from error
    line = " ".join(words[:2])
    keys.public_key(line)
    return line


def add(
    keep: Keep, *, name: str | None, email: str | None, line: str | None, who: Identity, now: datetime
) -> Added:
    """The keep knows the person, with this key; a person who is there already gets the key added.

    One who has departed is brought back, if somebody else does it.

    Args:
        keep: The keep.
        name: The person's name; None is that of whoever is at work, or of the person who is there.
        email: Their e-mail, by which they are recognised; None is that of whoever is at work.
        line: Their public key, or None.
        who: Author of the commit.
        now: The day from which the key counts.

    Raises:
        AlreadyExists: The key is another person's.
        AccessDenied: Whoever is at work has departed: only another person can bring them back.
        UsageError: Of somebody new name or e-mail is missing, or malformed; or somebody is there by another name.
        SecretFound, InvalidFile: Name or e-mail must not, or cannot, be written down; or somebody's file
            cannot be read, and might have this e-mail or key.
    """
    check_writable({"name": name, "email": email})
    email = _email_of(name, email, who)
    stated = name or (who.name if same_email(email, who.email) else None)
    done: list[Added] = []

    def change(tree: KeepTree) -> Change:
        roster = roster_of(tree)
        roster.require_not_departed(who, now.date(), keep=keep.name)
        _require_readable(roster)
        people, handle = roster.people, roster.handle_of(email)
        _refuse_foreign_key(people, email, line)
        if handle is None:
            if stated is None:
                raise _both_needed(f"the keep does not know {email}, and no name is given", email=email)
            handle, person = new_person(stated, email, [line] if line else [], now.date(), taken=people)
            done[:] = [Added(handle, person, changed=True)]
            return Change(files={_path(handle): person.dump().encode("utf-8")})
        person = people[handle]
        if name not in (None, person.name):
            raise UsageError(
                f"{email} is in the keep already, by the name of {person.name!r}, not {name!r}",
                next_step=f"leave --name out; or correct the name in {_path(handle)}, and commit and push that",
            )
        new = line if line not in {key.key for key in person.keys} else None
        if new is None and not person.departed:
            done[:] = [Added(handle, person, changed=False)]
            return Change()
        text = _present_again(tree.read(_path(handle)) or b"", handle, new, now.date())
        done[:] = [Added(handle, Person.read(text, what=_path(handle)), changed=True)]
        return Change(files={_path(handle): text})

    keep.repository.transact(change, f"people: {stated or email}", who, when=now, progress=keep.progress)
    keep.look_again()
    return done[0]


def _email_of(name: str | None, email: str | None, who: Identity) -> str:
    """The e-mail of the person who is meant.

    Raises:
        UsageError: A name alone is given, which is not that of whoever is at work; or it is no e-mail.
    """
    if email is None:
        if name not in (None, who.name):
            raise _both_needed(f"you are {who.name} <{who.email}>, and --name says {name!r}", name=name)
        return who.email
    if not looks_like_mail(email) and not same_email(email, who.email):
        raise UsageError(
            f"--email {email!r} is not an e-mail address",
            next_step="write it as NAME@DOMAIN, such as ken@corp.example",
        )
    return email


def _both_needed(what: str, *, name: str | None = None, email: str | None = None) -> UsageError:
    given = (
        f"--name {shlex.quote(name) if name else 'NAME'} --email {shlex.quote(email) if email else 'MAIL'}"
    )
    return UsageError(
        f"{what}; somebody new is added by name and e-mail",
        next_step=f"datakeep people add {given}   (and --key FILE, their public key)",
    )


def _path(handle: str) -> str:
    return f"people/{handle}.yaml"


def _require_readable(roster: Roster) -> None:
    """Nobody is added who might be the person of a file that cannot be read, or have a key of theirs."""
    if roster.unreadable:
        broken = roster.unreadable[0]
        raise InvalidFile(
            f"{broken.reason}; until it can be read, nobody is added: it may have this e-mail or this key",
            next_step=broken.next_step,
        )


def _refuse_foreign_key(people: dict[str, Person], email: str, line: str | None) -> None:
    for handle, person in people.items():
        if line and not same_email(person.email, email) and any(key.key == line for key in person.keys):
            raise AlreadyExists(
                f"this key is {handle}'s ({person.email})",
                next_step="make a key of your own: datakeep key create",
            )


def _present_again(text: bytes, handle: str, line: str | None, day: date) -> bytes:
    document = yaml.load(text, what=_path(handle))
    document.pop("departed", None)
    if line:
        document.setdefault("keys", []).append({"key": line, "added": day.isoformat()})
    return yaml.dump(document).encode("utf-8")


def depart(keep: Keep, handle: str, *, on: date, who: Identity, now: datetime) -> Person:
    """The person has left: their keys no longer count from that day, and their datasets have no owner.

    Raises:
        UnknownName: The keep has no such person.
        AccessDenied: Whoever is at work has departed.
        Conflict: They are the last who is active.
    """
    done: list[Person] = []

    def change(tree: KeepTree) -> Change:
        text = tree.read(_path(handle))
        roster = roster_of(tree)
        roster.require_not_departed(who, now.date(), keep=keep.name)
        if text is None:
            near = nearest(handle, keep.people)
            raise UnknownName(
                f"this keep has no person {handle!r}" + (f"; did you mean {near!r}?" if near else ""),
                next_step="datakeep people list",
            )
        if roster.active(max(on, now.date())) == [handle]:
            raise Conflict(
                f"{handle} is the last active person of the keep {keep.name}: nobody would be left to bring "
                "anybody back",
                next_step="add somebody first: datakeep people add --name NAME --email MAIL",
            )
        document: dict[str, Any] = yaml.load(text, what=_path(handle))
        document["departed"] = on.isoformat()
        done[:] = [Person.of(document, what=_path(handle))]
        return Change(files={_path(handle): yaml.dump(document).encode("utf-8")})

    keep.repository.transact(change, f"people: {handle} departed", who, when=now, progress=keep.progress)
    keep.look_again()
    return done[0]


def owned_by(keep: Keep, email: str) -> list[str]:
    """The datasets whose newest version names this person as owner."""
    return [
        entry.dataset for entry in keep.newest_entries() if same_email(str(entry.owner.get("email")), email)
    ]
