"""Who is at work, as git knows it: the name and e-mail that commits, tags and owners carry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import GitFault, NoIdentity
from datakeep.repository.command import GitRunner

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


_NEXT_STEP = 'git config --global user.name "Your Name" && git config --global user.email you@corp.example'


@dataclass(frozen=True, slots=True)
class Identity:
    """A person's name and e-mail."""

    name: str
    email: str

    def signature(self, when: datetime) -> str:
        """``Name <email> seconds zone``, as git writes it in commits and tags; ``when`` has a time zone."""
        name, email = (re.sub(r"[<>\x00-\x1f\x7f]", "", part).strip() for part in (self.name, self.email))
        return f"{name} <{email}> {int(when.timestamp())} {when.strftime('%z')[:5]}"


def identity(folder: Path | None = None) -> Identity:
    """The person who is at work, from git's configuration or environment, never guessed from the host's name.

    Args:
        folder: A repository whose own configuration counts too.

    Raises:
        NoIdentity: git was not told a name and an e-mail.
    """
    runner = GitRunner(folder, settings=("user.useConfigOnly=true",))
    try:
        line = runner.text("var", "GIT_AUTHOR_IDENT")
    except GitFault as error:
        raise NoIdentity(
            "git does not know who you are, so nothing can be recorded in your name",
            next_step=_NEXT_STEP,
        ) from error
    found = re.fullmatch(r"(.*) <(.*)> \d+ [+-]\d{4}", line)
    if not found or not found[1] or not found[2]:
        raise NoIdentity(
            f"git knows you only as {line.rsplit(' ', 2)[0]!r}, without a name or an e-mail",
            next_step=_NEXT_STEP,
        )
    return Identity(found[1], found[2])
