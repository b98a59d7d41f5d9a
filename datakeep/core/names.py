"""Names of datasets, versions and models, and how a user writes them."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datakeep.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
VERSION = re.compile(r"v[1-9][0-9]{0,8}")
#: So many are named one by one.
_FEW_VERSIONS = 5


@dataclass(frozen=True, slots=True)
class Reference:
    """``orders@v3`` taken apart; ``version`` is None where the user left it out (the newest is meant)."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"


def check_name(name: str, *, what: str = "dataset") -> str:
    """The name, if it is one.

    Raises:
        UsageError: It holds anything but lower-case letters, digits and ``-``, begins with ``-``, or is
            longer than 100 characters. The message suggests a name that would do, where one is near.
    """
    if NAME.fullmatch(name):
        return name
    shown = name if len(name) <= 60 else name[:57] + "…"
    near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:100].strip("-")
    hint = f"for example {near!r}" if near else "for example 'orders'"
    raise UsageError(
        f"{shown!r} cannot be a {what} name: only a-z, 0-9 and '-', at most 100 characters",
        next_step=f"choose another name, {hint}",
    )


def parse_reference(text: str) -> Reference:
    """``orders`` or ``orders@v3``.

    Raises:
        UsageError: The name or the version is malformed.
    """
    name, at, version = text.partition("@")
    try:
        check_name(name)
    except UsageError as error:  # a name is looked for here, not chosen
        raise UsageError(error.what, next_step="datakeep list") from None
    if at and not VERSION.fullmatch(version):
        raise UsageError(
            f"{version!r} is not a version; versions are v1, v2, …",
            next_step=f"write {name}@v1, or {name} alone for the newest version",
        )
    return Reference(name, version or None)


def version_number(version: str) -> int:
    """3 of ``v3``; versions sort by it."""
    return int(version[1:])


def next_version(versions: Iterable[str]) -> str:
    """The version after the newest of ``versions``; ``v1`` of none."""
    return f"v{max((version_number(version) for version in versions), default=0) + 1}"


def environment_variable(name: str) -> str:
    """Where a training finds the data of a dataset: ``DATAKEEP_DATA_PUMP_BEARINGS``."""
    return "DATAKEEP_DATA_" + name.upper().replace("-", "_")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was probably meant to be, or None."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def some_versions(versions: Sequence[str]) -> str:
    """Which versions there are, in a few words: ``v1, v2``; of more than five the first and the last, ``v1 … v6``."""
    return ", ".join(versions) if len(versions) <= _FEW_VERSIONS else f"{versions[0]} … {versions[-1]}"
