"""The keys that sign proofs: Ed25519, in OpenSSH's own file format, so that an existing key serves.

The unencrypted head of a key file is read here, before any library sees it, because it tells the kind of
key: hardware and RSA keys get an error of their own instead of a parser's, and a passphrase is asked for
only where one is needed.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import secrets
import stat
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.errors import AccessDenied, AlreadyExists, DatakeepError, KeyFault, NoSpace

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

MAX_KEY_FILE_BYTES = 65536
_KIND = "ssh-ed25519"
_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_CREATE = "create a key for datakeep: datakeep key create"
_AGENT_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key, ready to sign.

    Attributes:
        crypto: securesystemslib's signer, which holds the key.
        public_line: The public half as OpenSSH writes it: ``ssh-ed25519 AAAA…``.
    """

    crypto: CryptoSigner
    public_line: str

    @property
    def key_id(self) -> str:
        """The identifier that signatures of this key carry; see :func:`key_id`."""
        return str(self.crypto.public_key.keyid)

    def sign(self, data: bytes) -> Signature:
        """The signature of exactly these bytes."""
        return self.crypto.sign(data)


def default_path() -> Path:
    """Where a user's own key lies unless an option says otherwise."""
    import platformdirs

    return Path(platformdirs.user_config_dir("datakeep")) / "key"


def create(path: Path, passphrase: bytes | None) -> str:
    """A new Ed25519 key at ``path``, readable by its owner only, and its public half at ``path.pub``.

    Args:
        path: The file to make. It appears whole or not at all.
        passphrase: What encrypts it; None writes it plain.

    Returns:
        The public line, ``ssh-ed25519 AAAA…``.

    Raises:
        AlreadyExists: Either file is there; a key is never overwritten.
        KeyFault: The passphrase is empty.
        AccessDenied: The folder cannot be written to.
        NoSpace: The disk is full.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if passphrase == b"":
        raise KeyFault("The passphrase is empty", next_step="give one, or ask for a key without any")
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, encryption)
    line = _public_line(key)
    public_path = _public_path(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.path.lexists(public_path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(public_path))
        _write_new(path, text, 0o600)
        _write_new(public_path, f"{line}\n".encode(), 0o644)
    except OSError as error:
        raise _cannot_write(error, path) from error
    return line


def existing(path: Path) -> str | None:
    """The public line of the key pair at ``path`` that is there already, whole; None if it is not."""
    try:
        line = _public_path(path).read_text("ascii").strip()
        key_id(line)
    except (OSError, ValueError, KeyFault):
        return None
    return line if path.is_file() else None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """``data`` at ``path``, whole or not at all; an existing file, or link, is never replaced."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename, this fails if somebody was faster
    finally:
        temporary.unlink()


def _cannot_write(error: OSError, path: Path) -> DatakeepError:
    if isinstance(error, FileExistsError):
        there = error.filename2 or error.filename
        return AlreadyExists(
            f"{there} is there already; a key is never overwritten",
            next_step=f"use the key that is there, in a keep: datakeep people add --key {path}; "
            f"or move both halves away first: mv {path} {path}.old; mv {path}.pub {path}.old.pub",
        )
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return NoSpace(
            f"No space left for the key {path}", next_step=f"free some space on the disk of {path.parent}"
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return AccessDenied(
            f"You may not write the key {path}", next_step=f"check the rights: ls -ld {path.parent}"
        )
    return KeyFault(
        f"The key {path} cannot be written: {error.strerror}", next_step="choose another place for it"
    )


def load(path: Path, ask_passphrase: Callable[[], bytes] | None) -> Signer:
    """The signer of the OpenSSH Ed25519 key at ``path``.

    Args:
        path: The private key's file.
        ask_passphrase: Called once, and only for a key that has a passphrase; None if nobody can be asked.

    Raises:
        KeyFault: There is no key, only its public half, or only an agent or a hardware token has it; others
            can read the file; it is of another kind, damaged, or the passphrase is wrong.
        AccessDenied: The file may not be read.
    """
    text = _read(path)
    kind, encrypted = _head(text, path)
    if kind != _KIND:
        raise _unsupported(kind, str(path))
    passphrase = _passphrase(path, ask_passphrase) if encrypted else None
    key = _decrypt(text, passphrase, path)
    from securesystemslib.signer import CryptoSigner

    return Signer(CryptoSigner(key), _public_line(key))


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise _absent(path) from error
    except PermissionError as error:
        raise AccessDenied(
            f"You may not read the key {path}", next_step=f"check the rights: ls -l {path}"
        ) from error
    except OSError as error:
        raise KeyFault(f"The key {path} cannot be opened: {error.strerror}", next_step=_CREATE) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_KEY_FILE_BYTES:
            raise KeyFault(f"{path} is not a key file", next_step=_CREATE)
        text = os.read(handle, MAX_KEY_FILE_BYTES)
    finally:
        os.close(handle)
    if _is_public(text):
        raise _only_public(path)
    if status.st_mode & 0o077:
        raise KeyFault(
            f"The key {path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o})",
            next_step=f"close it: chmod 600 {path}",
        )
    return text


def _absent(path: Path) -> KeyFault:
    public = _public_path(path)
    if public.is_file():
        return _only_public(public)
    return KeyFault(f"There is no signing key at {path}", next_step=_CREATE)


def _only_public(public: Path) -> KeyFault:
    private = public.with_suffix("") if public.suffix == ".pub" else None
    if private is not None and private.is_file():
        return KeyFault(
            f"{public} is the public half of a key", next_step=f"give the private half: {private}"
        )
    if _agent_has(public):
        return KeyFault(
            f"Only an SSH agent has the private half of {public}, and datakeep cannot sign through an agent",
            next_step=_CREATE,
        )
    return KeyFault(f"{public} is the public half of a key; its private half is not there", next_step=_CREATE)


def _agent_has(public: Path) -> bool:
    """Whether the user's SSH agent holds the key of this public file; False where it cannot be asked."""
    if not os.environ.get("SSH_AUTH_SOCK"):
        return False
    with contextlib.suppress(OSError, subprocess.SubprocessError, IndexError):
        words = public.read_bytes()[:MAX_KEY_FILE_BYTES].split()
        listed = subprocess.run(["ssh-add", "-L"], capture_output=True, timeout=_AGENT_TIMEOUT_S, check=True)
        return words[1] in listed.stdout.split()
    return False


def _is_public(text: bytes) -> bool:
    return text.startswith((b"ssh-", b"ecdsa-", b"sk-"))


def _head(text: bytes, path: Path) -> tuple[str, bool]:
    """The kind of key and whether it is encrypted."""
    if _BEGIN not in text:
        raise KeyFault(
            f"{path} is not a private key in OpenSSH's format; an Ed25519 key is needed", next_step=_CREATE
        )
    try:
        return _parse_head(base64.b64decode(text.split(_BEGIN, 1)[1].split(_END, 1)[0]))
    except (ValueError, struct.error) as error:
        raise _damaged(path) from error


def _parse_head(body: bytes) -> tuple[str, bool]:
    """As :func:`_head`, from the part that is always plain (OpenSSH's PROTOCOL.key)."""
    if not body.startswith(_MAGIC):
        raise ValueError("no magic number")
    cipher, rest = _take(body[len(_MAGIC) :])
    for _ in ("key derivation", "its options"):
        _, rest = _take(rest)
    public, _ = _take(rest[4:])
    kind, _ = _take(public)
    return kind.decode("ascii"), cipher != b"none"


def _take(data: bytes) -> tuple[bytes, bytes]:
    """The first length-prefixed field of ``data``, and the rest."""
    (size_bytes,) = struct.unpack_from(">I", data)
    if size_bytes > len(data) - 4:
        raise ValueError("a field is longer than the file")
    return data[4 : 4 + size_bytes], data[4 + size_bytes :]


def _passphrase(path: Path, ask: Callable[[], bytes] | None) -> bytes:
    if ask is None:
        raise KeyFault(
            f"The key {path} has a passphrase, and nobody can be asked for it here",
            next_step="run the command on a terminal, or use a key without a passphrase",
        )
    return ask()


def _decrypt(text: bytes, passphrase: bytes | None, path: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        key = load_ssh_private_key(text, passphrase)
    except UnsupportedAlgorithm as error:
        raise KeyFault(f"The key {path} cannot be decrypted: {error}", next_step=_CREATE) from error
    except (ValueError, TypeError) as error:
        if passphrase is None:
            raise _damaged(path) from error
        raise KeyFault(
            f"The passphrase of {path} is wrong, or the file is damaged", next_step="run the command again"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _damaged(path)
    return key


def _damaged(path: Path) -> KeyFault:
    return KeyFault(f"The key {path} is damaged", next_step=f"restore it from a backup, or {_CREATE}")


def _unsupported(kind: str, where: str) -> KeyFault:
    shown = kind[:40]
    if kind.startswith("sk-"):
        return KeyFault(
            f"The key {where} lives in a hardware token ({shown}), which datakeep cannot sign with",
            next_step=_CREATE,
        )
    return KeyFault(f"The key {where} is of the kind {shown!r}; an Ed25519 key is needed", next_step=_CREATE)


def public_key(line: str) -> SSlibKey:
    """The key of an OpenSSH public line, to verify with; its ``keyid`` depends on the key alone.

    Raises:
        KeyFault: The line is no public key, or one of another kind than Ed25519.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key
    from securesystemslib.signer import SSlibKey

    words = line.split()
    shown = " ".join(words)[:40]
    if len(words) < 2 or "PRIVATE KEY" in line:
        raise KeyFault(
            "This is not a public key in OpenSSH's form (ssh-ed25519 AAAA…)",
            next_step="give the line in the key's .pub file",
        )
    if words[0] != _KIND:
        raise _unsupported(words[0], f"{shown}…")
    try:
        key = load_ssh_public_key(" ".join(words[:2]).encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFault(
            f"The public key {shown}… is damaged", next_step="give the line in the key's .pub file"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _unsupported(words[0], f"{shown}…")
    return SSlibKey.from_crypto(key)


def key_id(line: str) -> str:
    """The identifier of a public line's key, as signatures carry it: sha256 in hex, whatever the comment.

    Raises:
        KeyFault: As in :func:`public_key`.
    """
    return str(public_key(line).keyid)


def _public_line(key: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _public_path(path: Path) -> Path:
    return path.with_name(path.name + ".pub")
