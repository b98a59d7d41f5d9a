"""What a proof is worth: whose it is, whether that key counted on the day, and until when it holds.

A proof states its own time. Its signer could have written any, so a key that was already revoked when
the proof reached the keep counts for nothing, whatever day the proof names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from datakeep.attest.envelope import Opened, open_envelope
from datakeep.attest.keys import key_id
from datakeep.core.errors import KeyFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from datakeep.formats.person import Person, PublicKey
    from datakeep.formats.proof import Statement

#: How far the clocks of two machines may disagree.
CLOCK_SKEW = timedelta(hours=1)
#: ``added`` and ``revoked`` are days, and a day begins up to this much earlier or later than in UTC.
_DAY_SKEW = timedelta(hours=14)
Status = Literal["valid", "expired", "failed", "invalid"]


@dataclass(frozen=True, slots=True)
class About:
    """The version that a proof is expected to be about; digests in hex, without a prefix."""

    dataset: str
    version: str
    commit: str
    inventory_sha256: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a proof is worth.

    Attributes:
        status: ``valid`` (passed, holds); ``expired`` (passed, but too long ago); ``failed`` (a trustworthy
            record of a failed verification); ``invalid`` (it proves nothing).
        self_check: Whether the owner ran it, which proves no handover.
        by: The handle of who ran it; None if that is not known.
        at: When the verification ended; None if that is not known.
        expires: From when it no longer holds; None if it never held, or never ends.
        reason: One sentence: why it is not valid, or what it shows.
        statement: What was signed; None if invalid.
        contradicts: It is invalid because it was changed, or because it says other things than the register or
            its own signature do; a key that does not count is no such reason.
    """

    status: Status
    self_check: bool
    by: str | None
    at: datetime | None
    expires: datetime | None
    reason: str
    statement: Statement | None = None
    contradicts: bool = False


def judge(
    envelope: bytes,
    people_at_commit: Sequence[tuple[str, Person]],
    *,
    unreadable: Mapping[str, bytes] | None = None,
    now: datetime,
    renew_every: timedelta | None,
    about: About | None = None,
    committed_at: datetime | None = None,
) -> Standing:
    """What the proof in ``envelope`` is worth.

    Args:
        envelope: The proof's file.
        people_at_commit: Handle and person, as of the keep's commit that added the proof.
        unreadable: Path to bytes, of people at that commit whose files cannot be read. No key in them counts
            for anybody: its person may have departed, or revoked it.
        now: The time of asking, with its zone.
        renew_every: How long a proof holds by the keep's policy; None for no end.
        about: The version that it should be about; None if the caller compares that itself.
        committed_at: When the keep got the proof. None stands for the proof's own time, which its signer
            wrote: give it wherever it is known.
    """
    opened = open_envelope(envelope, {handle: _lines(person) for handle, person in people_at_commit})
    if opened.statement is None:
        reason = f"{opened.verdict}: {opened.detail}{_perhaps_of(opened, unreadable or {})}"
        return _invalid(reason, contradicts=opened.verdict != "unknown key")
    statement = opened.statement
    if contradiction := _wrong_subject(statement, about) or _wrong_signer(opened, statement):
        return _invalid(contradiction, contradicts=True)
    problem = (
        _perhaps_anothers(opened, people_at_commit, unreadable or {})
        or _wrong_time(statement, now)
        or _wrong_key(opened, statement, people_at_commit, committed_at)
    )
    return _invalid(problem) if problem else _weigh(statement, now, renew_every)


def _invalid(reason: str, *, contradicts: bool = False) -> Standing:
    return Standing(
        "invalid", self_check=False, by=None, at=None, expires=None, reason=reason, contradicts=contradicts
    )


def _lines(person: Person) -> list[str]:
    return [key.key for key in person.keys]


def _weigh(statement: Statement, now: datetime, renew_every: timedelta | None) -> Standing:
    found = statement.predicate
    ends = [end for end in (found.expires, found.finished + renew_every if renew_every else None) if end]
    standing = Standing(
        "valid",
        self_check=found.self_check,
        by=found.person.handle,
        at=found.finished,
        expires=min(ends, default=None),
        reason=f"{found.person.name} ran it on {found.finished:%Y-%m-%d}",
        statement=statement,
    )
    if found.result == "failed":
        reason = f"the verification by {found.person.name} failed at the stage {found.at_fault}"
        return replace(standing, status="failed", expires=None, reason=reason)
    if standing.expires and standing.expires <= now:
        return replace(standing, status="expired", reason=f"it held until {standing.expires:%Y-%m-%d}")
    return standing


def _wrong_subject(statement: Statement, about: About | None) -> str | None:
    found = About(statement.dataset, statement.version, statement.commit, statement.inventory_sha256)
    if about is None or found == about:
        return None
    if (found.dataset, found.version) != (about.dataset, about.version):
        return f"it is about {found.dataset}@{found.version}, not {about.dataset}@{about.version}"
    return f"it is about another commit or inventory of {about.dataset}@{about.version} than is registered"


def _wrong_signer(opened: Opened, statement: Statement) -> str | None:
    handle = statement.predicate.person.handle
    if handle not in opened.signed_by:
        return f"it says that {handle} ran it, but {', '.join(opened.signed_by)} signed it"
    if len(opened.signed_by) > len(opened.key_ids):
        return f"{' and '.join(opened.signed_by)} have the same key in the keep: it does not tell who signed"
    return None


def _perhaps_of(opened: Opened, unreadable: Mapping[str, bytes]) -> str:
    named = opened.verdict == "unknown key" and unreadable
    return f"; {', '.join(unreadable)} cannot be read, so no key in it counts" if named else ""


def _perhaps_anothers(
    opened: Opened, people: Sequence[tuple[str, Person]], unreadable: Mapping[str, bytes]
) -> str | None:
    lines = [line for _, person in people for line in _lines(person) if _key_id_of(line) in opened.key_ids]
    for path, text in unreadable.items():
        if any(line.split()[1].encode() in text for line in lines):
            return f"{path}, which cannot be read, has the same key: it does not tell who signed"
    return None


def _wrong_time(statement: Statement, now: datetime) -> str | None:
    at = statement.predicate.finished
    return f"it is dated in the future: {at:%Y-%m-%dT%H:%M:%SZ}" if at > now + CLOCK_SKEW else None


def _wrong_key(
    opened: Opened,
    statement: Statement,
    people: Sequence[tuple[str, Person]],
    committed_at: datetime | None,
) -> str | None:
    handle = statement.predicate.person.handle
    at = statement.predicate.finished
    person = next(person for name, person in people if name == handle)
    if person.departed and at > _midnight(person.departed) + timedelta(days=1) + _DAY_SKEW:
        return f"{handle} had departed on {person.departed}, before the verification"
    used = [key for key in person.keys if _key_id_of(key.key) in opened.key_ids]
    faults = [_key_fault(key, at, committed_at or at) for key in used]
    return None if None in faults else f"the key of {handle} {faults[0]}"


def _key_fault(key: PublicKey, at: datetime, committed_at: datetime) -> str | None:
    if at < _midnight(key.added) - _DAY_SKEW:
        return f"was added on {key.added}, after the verification"
    if key.revoked and max(at, committed_at) >= _midnight(key.revoked):
        return f"was revoked on {key.revoked}, before the keep got the proof"
    return None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _key_id_of(line: str) -> str | None:
    try:
        return key_id(line)
    except KeyFault:
        return None
