"""``people/<handle>.yaml``: who may prove what, with which keys."""

from __future__ import annotations

import re
from datetime import date
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from datakeep.formats.base import Document, Part

#: What mail goes to beyond one machine: something, ``@``, and a domain of two or more labels.
_MAIL = re.compile(r"[^@\s<>,;\"]+@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W_](?:[\w-]*[^\W_])")


def looks_like_mail(text: str) -> bool:
    """Whether ``text`` has the form of an e-mail; of people who are there already this is doubted, not refused."""
    return bool(_MAIL.fullmatch(text))


class PublicKey(Part):
    """A public key in OpenSSH's form, and the days between which it counts."""

    key: str
    added: date
    revoked: date | None = None


class Person(Document):
    """A person of the keep."""

    kind: ClassVar[str] = "person"
    model_config = ConfigDict(title="people/<handle>.yaml, a person of the keep")

    format: Literal["datakeep/person/1"] = "datakeep/person/1"
    name: str = Field(min_length=1)
    email: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")
    keys: list[PublicKey] = Field(default_factory=list)
    departed: date | None = None
