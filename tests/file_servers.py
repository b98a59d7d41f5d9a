"""Real servers with files for tests: OpenSSH's sshd and WsgiDAV, each on a free port of the loopback."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from server_process import PATIENCE_S, ended, free_port, start_server, wait_until

#: Who may do anything on the WebDAV server.
DAV_USER, DAV_PASSWORD = "keeper", "keeper-Secret-0123"


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _descendants(process: int) -> list[int]:
    """The processes that a server has made for its connections: they lead sessions of their own."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


@dataclass
class _Server:
    """One server; :meth:`start` and :meth:`kill` can follow each other, the bytes stay."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    places: int = 0

    @property
    def files(self) -> Path:
        """The folder that it hands out."""
        return self.folder / "files"

    def argv(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.files.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        argv = self.argv()
        with (self.folder / "log").open("ab") as log:
            self.process = start_server(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONUTF8": "1"},
            )  # fmt: skip
        wait_until(self.process, lambda: _answers(self.port), self.folder / "log", PATIENCE_S)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            for one in _descendants(self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            self.process.wait()
            ended(self.process)
            self.process = None

    def remove(self) -> None:
        """End it; its folder is the caller's."""
        self.kill()

    def place(self) -> Path:
        """The folder of a store that nobody else uses; its parent is there, and it is not."""
        self.places += 1
        made = self.files / f"team-{self.places}"
        made.mkdir()
        return made / "keep"


@dataclass
class SshHost(_Server):
    """sshd with keys of its own; :meth:`known_by` makes a home from which one is let in."""

    read_only: bool = False
    options: tuple[str, ...] = ()
    user: str = field(default_factory=getpass.getuser)

    def argv(self) -> list[str]:
        program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        assert program, "on Debian or Ubuntu: sudo apt-get install openssh-server (.ci/setup dev does it)"
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it of root
        for name in ("host", "user"):
            _make_key(self.folder / name)
        shutil.copy(self.folder / "user.pub", self.folder / "authorized_keys")
        sftp = "internal-sftp -R" if self.read_only else "internal-sftp"
        settings = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.folder / 'host'}", "UsePAM no",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}", "StrictModes no", f"Subsystem sftp {sftp}",
            "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin yes",
            f"PidFile {self.folder / 'pid'}", "LogLevel ERROR", *self.options,
        ]  # fmt: skip
        (self.folder / "sshd_config").write_text("\n".join(settings) + "\n")
        return [program, "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def url(self, place: Path) -> str:
        """The store's URL of a folder of this server."""
        return f"ssh://127.0.0.1:{self.port}{place}"

    def known_by(self, home: Path, *, known: bool = True, key: bool = True) -> Path:
        """Give a home the user's key, and the host's in its known_hosts."""
        ssh = home / ".ssh"
        ssh.mkdir(parents=True, exist_ok=True)
        ssh.chmod(0o700)
        if key:
            shutil.copy(self.folder / "user", ssh / "id_ed25519")
            (ssh / "id_ed25519").chmod(0o600)
        if known:
            kind, data, *_ = (self.folder / "host.pub").read_text().split()
            with (ssh / "known_hosts").open("a") as file:
                file.write(f"[127.0.0.1]:{self.port} {kind} {data}\n")
        return home


def _make_key(path: Path) -> None:
    if not path.exists():
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


_DAV = """
import sys
from cheroot import wsgi
from wsgidav.wsgidav_app import WsgiDAVApp
port, files, user, password, *certificate = sys.argv[1:]
app = WsgiDAVApp({
    "provider_mapping": {"/": files, "/read-only": {"root": files, "readonly": True}},
    "simple_dc": {"user_mapping": {"*": {user: {"password": password}}}},
    "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
    "verbose": 1, "logging": {"enable": False}, "property_manager": False, "lock_storage": True,
})
server = wsgi.Server(("127.0.0.1", int(port)), app, numthreads=16)
if certificate:
    from cheroot.ssl.builtin import BuiltinSSLAdapter
    server.ssl_adapter = BuiltinSSLAdapter(certificate[0], certificate[0])
server.start()
"""


@dataclass
class DavHost(_Server):
    """WsgiDAV in cheroot, a process of its own; whoever has the name and the password may do anything."""

    is_encrypted: bool = False

    @property
    def certificate(self) -> Path:
        """Its certificate and key, of an authority of its own."""
        return self.folder / "certificate.pem"

    def argv(self) -> list[str]:
        if self.is_encrypted and not self.certificate.exists():
            self.certificate.write_bytes(_make_certificate())
        more = [str(self.certificate)] if self.is_encrypted else []
        return [sys.executable, "-c", _DAV, str(self.port), str(self.files), DAV_USER, DAV_PASSWORD, *more]

    def url(self, place: Path, *, prefix: str = "") -> str:
        """The store's URL of a folder of this server."""
        return f"webdav{'s' if self.is_encrypted else ''}://127.0.0.1:{self.port}/{prefix}{place.relative_to(self.files).as_posix()}"

    def environment(self) -> dict[str, str]:
        """Of a program that signs in."""
        return {
            "DATAKEEP_WEBDAV_HOST": f"127.0.0.1:{self.port}",
            "DATAKEEP_WEBDAV_USER": DAV_USER,
            "DATAKEEP_WEBDAV_PASSWORD": DAV_PASSWORD,
            "NO_PROXY": "127.0.0.1",
        }


def _make_certificate() -> bytes:
    """For 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=30))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
