"""What an SSH server's refusal means to a person."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING

import asyncssh

from datakeep.core.errors import AccessDenied, NetworkMissing, StoreUnreachable
from datakeep.store.file_server import AGAIN, Refusal, ServerKeyChanged, ServerKeyUnknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.store.server_location import ServerLocation

_LOST = (
    asyncssh.ConnectionLost,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    asyncssh.ChannelOpenError,
    BrokenPipeError,
    ConnectionResetError,
)
_NUMBERS: tuple[tuple[type[Exception], int], ...] = (
    (asyncssh.SFTPNoSuchFile, errno.ENOENT),
    (asyncssh.SFTPNoSuchPath, errno.ENOENT),
    (asyncssh.SFTPPermissionDenied, errno.EACCES),
    (asyncssh.SFTPWriteProtect, errno.EROFS),
    (asyncssh.SFTPNoSpaceOnFilesystem, errno.ENOSPC),
    (asyncssh.SFTPQuotaExceeded, errno.EDQUOT),
    (asyncssh.SFTPFileAlreadyExists, errno.EEXIST),
    (asyncssh.SFTPNotADirectory, errno.ENOTDIR),
)


@contextlib.contextmanager
def usable_settings(location: ServerLocation) -> Iterator[None]:
    """A block that reads the user's own ssh files; what is wrong with them is said as that."""
    try:
        yield
    except (ValueError, RecursionError) as fault:
        raise _unusable(str(fault)[:200], location) from fault
    except OSError as fault:
        if fault.filename is None:
            raise
        raise _unusable(f"{fault.filename}: {fault.strerror}", location) from fault


def _unusable(why: str, location: ServerLocation) -> Refusal:
    return Refusal(
        AccessDenied,
        f"your ssh settings cannot be used ({why})",
        f"correct ~/.ssh/config, the keys that it names, and ~/.ssh/known_hosts; then try `{command(location)}`",
    )


def is_lost(fault: BaseException) -> bool:
    """Whether the connection is gone, and another one has to be made."""
    return isinstance(fault, _LOST) and not is_silence(fault)


def is_silence(fault: BaseException) -> bool:
    """Whether the server did not answer in time."""
    return isinstance(fault, TimeoutError) or "imeout expired" in str(fault)


def lost(fault: BaseException, location: ServerLocation) -> Refusal:
    """What that is to a person."""
    if isinstance(fault, ConnectionResetError | asyncssh.ConnectionLost | BrokenPipeError):
        return Refusal(StoreUnreachable, f"the connection to {location.server} broke", AGAIN, passing=True)
    return Refusal(StoreUnreachable, f"{location.server} ended the connection", AGAIN, passing=True)


def meaning(fault: Exception, location: ServerLocation) -> Exception:
    """The :class:`OSError` or :class:`Refusal` that ``fault``, of asyncssh or of a socket, is."""
    for kind, number in _NUMBERS:
        if isinstance(fault, kind):
            return OSError(number, os.strerror(number))
    if isinstance(fault, asyncssh.SFTPError):
        return OSError(errno.EIO, f"the server says: {fault.reason[:200]}")
    if isinstance(fault, asyncssh.PermissionDenied) or _is_denied(fault):
        return _not_let_in(location)
    if is_silence(fault):
        return Refusal(StoreUnreachable, f"{location.server} does not answer in time", AGAIN)
    if isinstance(fault, asyncssh.Error):
        return Refusal(
            StoreUnreachable,
            f"no SSH connection to {location.server} ({str(fault)[:200]})",
            f"try it with `{command(location)}`, then run the same command again",
        )
    return _unreached(fault, location)


def _is_denied(fault: Exception) -> bool:
    """Whether sshfs called a refused login a PermissionError: that has no number, a file's has one."""
    return isinstance(fault, PermissionError) and fault.errno is None


def _not_let_in(location: ServerLocation) -> Refusal:
    who = f"the user {location.user!r}" if location.user else "you"
    return Refusal(
        AccessDenied,
        f"{location.server} does not let {who} in: none of your ssh keys is accepted",
        f"try `{command(location)}`; a key with a passphrase goes into the agent (ssh-add), another may need "
        "~/.ssh/config (IdentityFile, User)",
    )


def _unreached(fault: Exception, location: ServerLocation) -> Exception:
    host = location.server
    if isinstance(fault, socket.gaierror):
        return Refusal(
            NetworkMissing,
            f"the name {location.host} cannot be resolved",
            "correct the store's url in keep.yaml; check the network",
        )
    number = getattr(fault, "errno", None)
    if number == errno.ECONNREFUSED or "Connect call failed" in str(fault):
        return Refusal(
            StoreUnreachable,
            f"nothing answers at {host}",
            "start the server, or correct the url in keep.yaml",
        )
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return Refusal(NetworkMissing, f"no network leads to {host}", "check this machine's network")
    return fault


def key_refusal(location: ServerLocation, *, changed: bool) -> Refusal:
    """What is wrong with the key that the server showed.

    Args:
        location: Where the server is.
        changed: Whether the user trusts another key of it.
    """
    if changed:
        name = f"[{location.host}]:{location.port}" if location.port else location.host
        return Refusal(
            ServerKeyChanged,
            f"{location.server} shows another host key than the one in your known_hosts: it was set up anew, or "
            "somebody stands between",
            f"ask its administrator; if the key has changed: ssh-keygen -R '{name}', then `{command(location)}`",
        )
    return Refusal(
        ServerKeyUnknown,
        f"the host key of {location.server} is not in your known_hosts",
        f"connect once with `{command(location)}`, compare the key with what its administrator says, and accept it "
        f"(or: ssh-keyscan{_port(location)} {location.host} >> ~/.ssh/known_hosts)",
    )


def command(location: ServerLocation) -> str:
    """What to type to meet the server by hand."""
    user = f"{location.user}@" if location.user else ""
    return f"ssh{_port(location)} {user}{location.host}"


def _port(location: ServerLocation) -> str:
    return f" -p {location.port}" if location.port else ""
