"""Who is who in a keep, and whose files cannot be read.

The law: a file that cannot be read makes nothing more trusted. Its person's keys count for nobody, whoever
may be that person is not let pass as a stranger, and nobody is added who might be them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, InvalidFile

if TYPE_CHECKING:
    from datetime import date

    from datakeep.formats.person import Person
    from datakeep.repository.identity import Identity
    from datakeep.repository.keep_tree import KeepTree

FOLDER = "people/"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file of ``people/`` that cannot be read: where it is, why, and its bytes."""

    path: str
    reason: str
    text: bytes

    @property
    def handle(self) -> str:
        """The handle of whoever it is about."""
        return self.path.removeprefix(FOLDER).removesuffix(".yaml")

    @property
    def next_step(self) -> str:
        """How to mend it."""
        return f"restore it from history: git log -- {self.path}"


@dataclass(frozen=True, slots=True)
class Roster:
    """The people of a keep at one commit: by handle, and what cannot be read."""

    people: dict[str, Person]
    unreadable: tuple[Unreadable, ...]

    @property
    def unreadable_texts(self) -> dict[str, bytes]:
        """The bytes of each file that cannot be read, by its path."""
        return {one.path: one.text for one in self.unreadable}

    def handle_of(self, email: str) -> str | None:
        """The handle of the person with this e-mail, however it is capitalised; None if nobody has it."""
        return next((name for name, one in self.people.items() if same_email(one.email, email)), None)

    def active(self, day: date) -> list[str]:
        """The handles of those who have not departed by ``day``."""
        return [name for name, one in self.people.items() if not has_departed(one, day)]

    def departed_on(self, email: str) -> date | None:
        """The last day of the person with this e-mail; None if they are active, or nobody has it."""
        handle = self.handle_of(email)
        return self.people[handle].departed if handle else None

    def perhaps(self, email: str) -> Unreadable | None:
        """The file that may be about the person with this e-mail, if it cannot be read."""
        word = email.casefold()
        texts = ((one, one.text.decode("utf-8", "replace").casefold()) for one in self.unreadable)
        return next((one for one, text in texts if word in text), None)

    def require_not_departed(self, who: Identity, day: date, *, keep: str) -> None:
        """Refuse whoever has departed; a stranger is not refused here, and a later last day does not count yet.

        Raises:
            AccessDenied: They have departed; says who can bring them back.
            InvalidFile: A file that may be theirs cannot be read, so it does not tell.
        """
        if broken := self.perhaps(who.email):
            raise InvalidFile(
                f"{broken.reason}; it names {who.email}, and does not tell whether they have departed",
                next_step=broken.next_step,
            )
        handle = self.handle_of(who.email)
        if handle is None or not has_departed(self.people[handle], day):
            return
        active = self.active(day)
        back = f"datakeep people add --email {self.people[handle].email}"
        others = f"ask {' or '.join(active[:3])} to run: {back}"
        nobody = f"nobody is active; somebody else who can push runs: datakeep people add; then {back}"
        raise AccessDenied(
            f"{handle} has departed from the keep {keep} on {self.people[handle].departed}; "
            "only another person can bring them back",
            next_step=others if active else nobody,
        )


def same_email(one: str, other: str) -> bool:
    """Whether two e-mails are one person's: people type capitals as they like."""
    return one.casefold() == other.casefold()


def has_departed(person: Person, day: date) -> bool:
    """Whether the person's last day, if it is known, is ``day`` or before."""
    return person.departed is not None and person.departed <= day


def roster_of(tree: KeepTree) -> Roster:
    """Who is who, of a keep's files; one that cannot be read takes nobody else away."""
    from datakeep.formats.person import Person

    texts = tree.read_many([path for path in tree.list(FOLDER) if path.endswith(".yaml")])
    people: dict[str, Person] = {}
    unreadable = []
    for path, text in sorted(texts.items()):
        try:
            people[path.removeprefix(FOLDER).removesuffix(".yaml")] = Person.read(text, what=path)
        except InvalidFile as error:
            unreadable.append(Unreadable(path, error.what, text))
    return Roster(people, tuple(unreadable))
