"""How a store on a server stands: the little that can be told from outside, and what only its people know."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

from datakeep.store.examination import Check, Outcome
from datakeep.store.faults import show_size

if TYPE_CHECKING:
    from datakeep.store.server_location import ServerLocation

_FULL_SHARE = 0.05


def examine_ssh(location: ServerLocation, mode: int, space: Any) -> list[Check]:
    """Every check of a folder on an SSH server.

    Args:
        location: Where it is.
        mode: The folder's own mode, as ``st_mode``.
        space: What statvfs says of it; None if the server does not know.
    """
    return [
        Check("way", Outcome.GOOD, "encrypted, and the server's key is in your known_hosts"),
        _space(space),
        _rights(mode, location),
        _disk(location),
    ]


def examine_webdav(location: ServerLocation, *, locks: bool) -> list[Check]:
    """Every check of a folder on a WebDAV server; ``locks``: whether the server says that it has them."""
    return [
        _way(location),
        Check("free space", Outcome.UNKNOWN, "WebDAV does not tell it"),
        Check("rights", Outcome.UNKNOWN, "WebDAV does not tell who else may write"),
        Check(
            "durability",
            Outcome.UNKNOWN,
            "WebDAV cannot ask a server to write to its disk; "
            + ("it has locks, which are not needed" if locks else "it has no locks, and needs none"),
        ),
        _disk(location),
    ]


def examine_other(location: ServerLocation, *, exclusive: bool) -> list[Check]:
    """What can be said of a kind that is only known through DVC."""
    return [
        Check("free space", Outcome.UNKNOWN, f"datakeep cannot ask {location.kind.words} for it"),
        Check("rights", Outcome.UNKNOWN, f"datakeep cannot ask {location.kind.words} who else may write"),
        Check("two keeps at once", Outcome.GOOD, "one is refused")
        if exclusive
        else Check(
            "two keeps at once",
            Outcome.UNKNOWN,
            f"{location.kind.words} has no way to refuse one of two that are made in the same moment",
        ),
        _disk(location),
    ]


def _way(location: ServerLocation) -> Check:
    if location.scheme.endswith("s"):
        return Check("way", Outcome.GOOD, "encrypted, and the server's certificate is valid")
    if location.host in ("localhost", "127.0.0.1", "[::1]"):
        return Check("way", Outcome.GOOD, "not encrypted, but it does not leave this machine")
    return Check(
        "way",
        Outcome.BAD,
        "not encrypted: passwords and data can be read on the way",
        f"use {location.scheme}s://",
    )


def _space(space: Any) -> Check:
    if space is None:
        return Check("free space", Outcome.UNSUPPORTED)
    free, total = space.bavail * space.frsize, space.blocks * space.frsize
    share = free / total if total else 0.0
    what = f"{show_size(free)} free, {share:.0%}"
    if share >= _FULL_SHARE:
        return Check("free space", Outcome.GOOD, what)
    return Check("free space", Outcome.BAD, what, "make room there before the next version does not fit")


def _rights(mode: int, location: ServerLocation) -> Check:
    if not mode & stat.S_IWOTH:
        return Check("rights", Outcome.GOOD, "the store's folder: nobody but owner and group can write")
    advice = f"on {location.host}: chmod -R o-w /{location.path}"
    return Check("rights", Outcome.BAD, "everybody on that machine can write to the store's folder", advice)


def _disk(location: ServerLocation) -> Check:
    what = f"what disk it is, and who backs it up, only the administrator of {location.host} can say"
    return Check("disk", Outcome.UNKNOWN, what)
