"""Stores on servers under fire: strangers, wrong keys, missing rights, killed servers, killed writers."""

import errno
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from fault_proxy import FaultProxy
from file_servers import DAV_PASSWORD, DAV_USER, DavHost, SshHost
from server_process import PATIENCE_S, free_port

from datakeep.core.errors import AccessDenied, NetworkMissing, NoSpace, StoreUnreachable
from datakeep.core.progress import Silent
from datakeep.store import ssh_server, webdav_server
from datakeep.store.copying import copy_objects
from datakeep.store.dvc_format import object_key
from datakeep.store.fetch import fetch
from datakeep.store.file_server import ServerKeyChanged, ServerKeyUnknown
from datakeep.store.ingest import ingest
from datakeep.store.interface import Marker
from datakeep.store.opening import create_store, open_store
from datakeep.store.scan import scan
from datakeep.store.sessions import DEAD_AFTER_S, session_name
from datakeep.store.ssh_server import SshServer

FILES = {f"d{n % 7}/f{n}": random.Random(n).randbytes(n * 97) for n in range(60)} | {"big": bytes(9_000_000)}
MARKER = Marker(keep="vision", created=datetime(2026, 11, 1, tzinfo=UTC))


@pytest.fixture
def source(tmp_path):
    for path, data in FILES.items():
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_bytes(data)
    return tmp_path / "source"


def files_in(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def host_of(request, kind):
    return request.getfixturevalue("ssh" if kind == "ssh" else "dav")


def made(host):
    """A store in an empty place of the server, and its folder there."""
    place = host.place()
    return create_store("far", host.url(place), keep="vision"), place


def assert_said(caught, *words):
    said = f"{caught.value.what} {caught.value.next_step}"
    for word in words:
        assert word in said
    assert len(said) < 600, "no dump"


# Who is let in, and whom one talks to


def test_a_host_whose_key_is_unknown_is_not_talked_to(ssh_host, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(ssh_host.known_by(tmp_path / "home", known=False)))
    with pytest.raises(ServerKeyUnknown) as caught:
        open_store("far", ssh_host.url(ssh_host.files)).check()
    assert_said(caught, "is not in your known_hosts", f"ssh -p {ssh_host.port} 127.0.0.1", "ssh-keyscan -p")
    assert caught.value.exit_code == 18


@pytest.mark.parametrize(
    "setting", ["UserKnownHostsFile none", "UserKnownHostsFile /dev/null\nStrictHostKeyChecking no"]
)
def test_no_setting_makes_an_unknown_host_known(ssh_host, tmp_path, monkeypatch, setting):
    home = ssh_host.known_by(tmp_path / "home", known=False)
    (home / ".ssh" / "config").write_text(f"Host *\n{setting}\n")
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(ServerKeyUnknown):
        open_store("far", ssh_host.url(ssh_host.files)).check()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_host_whose_key_has_changed_is_not_talked_to(ssh_host, tmp_path, monkeypatch, kind):
    """Another one of the same kind; or one of another kind, which the host no longer has."""
    home = ssh_host.known_by(tmp_path / "home", known=False)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / "other"], check=True)
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{ssh_host.port} {other}\n")
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(ServerKeyChanged) as caught:
        open_store("far", ssh_host.url(ssh_host.files)).check()
    assert_said(caught, "another host key", f"ssh-keygen -R '[127.0.0.1]:{ssh_host.port}'")


def test_settings_of_the_users_ssh_are_used(ssh_host, tmp_path, monkeypatch):
    home = ssh_host.known_by(tmp_path / "home")
    (home / ".ssh" / "id_ed25519").rename(home / ".ssh" / "of-the-nas")
    (home / ".ssh" / "config").write_text(
        f"Host nas\n  HostName 127.0.0.1\n  Port {ssh_host.port}\n  IdentityFile {home}/.ssh/of-the-nas\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    store = create_store("far", f"ssh://nas{ssh_host.place()}", keep="vision")
    assert store.check(writable=True).keep == "vision"
    sent = store.server._fs.storage_options
    assert (sent["agent_forwarding"], sent["x11_forwarding"], sent["gss_auth"]) == (False, False, False)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("config", "Host *\nPort abc\n", "Invalid Port integer value: abc"),
        ("config", "Host *\nIdentityFile ~/.ssh/gone\n", "gone: No such file or directory"),
        ("id_ed25519", "no key\n", "Invalid private key"),
        ("known_hosts", "garbage\n", "Invalid known hosts entry"),
    ],
)
def test_what_is_wrong_with_the_users_ssh_files_is_said(ssh_host, tmp_path, monkeypatch, file, text, said):
    home = ssh_host.known_by(tmp_path / "home")
    (home / ".ssh" / file).write_text(text)
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(AccessDenied) as caught:
        open_store("far", ssh_host.url(ssh_host.files)).check()
    assert_said(caught, "your ssh settings cannot be used", said, "correct ~/.ssh/config")


def test_who_has_no_key_is_told_so(ssh_host, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(ssh_host.known_by(tmp_path / "home", key=False)))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(AccessDenied) as caught:
        open_store("far", ssh_host.url(ssh_host.files).replace("//", "//aiko@")).check()
    assert_said(caught, "does not let the user 'aiko' in", "ssh-add")


def test_an_agent_is_asked_for_the_key(ssh_host, tmp_path, monkeypatch):
    sock = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("HOME", str(ssh_host.known_by(tmp_path / "home", key=False)))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        while not sock.exists():
            assert agent.poll() is None
            time.sleep(0.01)
        subprocess.run(["ssh-add", "-q", ssh_host.folder / "user"], check=True)
        store, _ = made(ssh_host)
        assert store.check(writable=True).keep == "vision"
    finally:
        agent.terminate()
        agent.wait()


@pytest.mark.parametrize("scheme", ["ssh", "webdav"])
def test_who_does_not_answer_is_not_asked_for_each_file(scheme, monkeypatch):
    monkeypatch.setattr(ssh_server, "_LOGIN_S", 1)
    monkeypatch.setattr(webdav_server, "_STALL_S", 1)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        store = open_store("far", f"{scheme}://127.0.0.1:{deaf.getsockname()[1]}/keep")
        with pytest.raises(StoreUnreachable, match="does not answer in time"):
            store.check()
    # Now nobody listens there; who asked again would be told so.
    with pytest.raises(StoreUnreachable, match="does not answer in time"):
        store.size_of("orders/x")


def test_a_wrong_password_is_named_and_not_shown(dav, monkeypatch):
    monkeypatch.setenv("DATAKEEP_WEBDAV_PASSWORD", "hunter2")
    with pytest.raises(AccessDenied) as caught:
        open_store("far", dav.url(dav.place())).check()
    assert_said(caught, "lets nobody in with these credentials", "DATAKEEP_WEBDAV_PASSWORD=…")
    assert "hunter2" not in caught.value.what + caught.value.next_step


class Recorder(BaseHTTPRequestHandler):
    """Answers 401, and remembers what it was shown."""

    shown: list = []  # noqa: RUF012

    def _any(self):
        self.shown.append(self.headers.get("Authorization"))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PROPFIND = _any  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("named", [None, "dav.corp.example"])
def test_a_password_is_shown_to_the_host_that_it_is_for(dav, monkeypatch, tmp_path, named):
    """A keep that a stranger wrote names any server that it likes."""
    if named:
        monkeypatch.setenv("DATAKEEP_WEBDAV_HOST", named)
    else:
        monkeypatch.delenv("DATAKEEP_WEBDAV_HOST")
    (tmp_path / "netrc").write_text(f"machine dav.corp.example login {DAV_USER} password {DAV_PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    Recorder.shown.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(AccessDenied) as caught:
            open_store("far", f"webdav://127.0.0.1:{server.server_port}/keep").check()
        server.shutdown()
    assert Recorder.shown
    assert set(Recorder.shown) == {None}
    assert_said(caught, f"127.0.0.1:{server.server_port}", "DATAKEEP_WEBDAV_HOST", named or "and to no other")


def test_a_netrc_signs_in_at_the_host_that_it_names(dav_host, tmp_path, monkeypatch):
    text = f"machine 127.0.0.1 login {DAV_USER} password {DAV_PASSWORD}\n"
    (tmp_path / "netrc").write_text(text)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    store, _ = made(dav_host)
    assert store.credentials == "WebDAV credentials of ~/.netrc"
    assert store.check(writable=True).keep == "vision"


def test_a_token_is_shown_in_place_of_a_password(dav, monkeypatch):
    monkeypatch.setenv("DATAKEEP_WEBDAV_TOKEN", "token-of-aiko")
    Recorder.shown.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DATAKEEP_WEBDAV_HOST", f"127.0.0.1:{server.server_port}")
        with pytest.raises(AccessDenied):
            open_store("far", f"webdav://127.0.0.1:{server.server_port}/keep").check()
        server.shutdown()
    assert set(Recorder.shown) == {"Bearer token-of-aiko"}


def test_an_encrypted_server_is_trusted_by_its_authority(dav, tmp_path, monkeypatch):
    host = DavHost(tmp_path / "tls", is_encrypted=True)
    host.folder.mkdir()
    host.start()
    try:
        for name, value in host.environment().items():
            monkeypatch.setenv(name, value)
        url = host.url(host.place())
        with pytest.raises(StoreUnreachable) as caught:
            create_store("far", url, keep="vision")
        assert_said(caught, "is of an unknown authority", "DATAKEEP_WEBDAV_CA=FILE")
        monkeypatch.setenv("DATAKEEP_WEBDAV_CA", str(host.certificate))
        store = create_store("far", url, keep="vision")
        store.put("orders/a", [b"x" * 9_000_000, b"y" * 9_000_000])
        assert store.size_of("orders/a") == 18_000_000
        with pytest.raises(StoreUnreachable, match="does not speak https"):
            open_store("far", f"webdavs://127.0.0.1:{dav.port}/keep").check()
    finally:
        host.kill()


# Places that are not there


@pytest.mark.parametrize("scheme", ["ssh", "webdav"])
def test_a_server_that_is_not_there_is_said_soon(scheme, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(StoreUnreachable, match=r"nothing answers at 127\.0\.0\.1"):
        open_store("far", f"{scheme}://127.0.0.1:{free_port()}/keep").check()
    with pytest.raises(NetworkMissing, match=r"the name no-such-host\.invalid cannot"):
        open_store("far", f"{scheme}://no-such-host.invalid/keep").check()
    assert time.monotonic() - began < PATIENCE_S


def test_a_web_server_is_no_webdav_server(tmp_path):
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(StoreUnreachable, match="does not answer as a WebDAV server does"):
            open_store("far", f"webdav://127.0.0.1:{server.server_port}/keep").check()
        server.shutdown()


def test_a_missing_right_to_write_is_named(ssh, dav, tmp_path_factory, tmp_path):
    _, place = made(dav)
    told = [open_store("far", dav.url(place, prefix="read-only/"))]
    host = SshHost(tmp_path_factory.mktemp("read-only"), read_only=True)
    host.start()
    try:
        host.known_by(tmp_path / "ssh-home")
        shutil.copytree(place, host.files / "keep")
        # The key that the first server made is not this one's.
        shutil.copy(ssh.folder / "user.pub", host.folder / "authorized_keys")
        shutil.copy(ssh.folder / "user", tmp_path / "ssh-home/.ssh/id_ed25519")
        told.append(open_store("far", host.url(host.files / "keep")))
        for store in told:
            assert store.check(keep="vision") == MARKER or store.check().keep == "vision"
            with pytest.raises(AccessDenied, match="no right to write to it"):
                store.check(writable=True)
            with pytest.raises(AccessDenied, match="no right to"):
                store.put("orders/files/md5/ab/cd", [b"x"])
    finally:
        host.kill()


def test_a_full_disk_is_called_full(ssh, monkeypatch):
    store, _ = made(ssh)
    space = SimpleNamespace(bavail=0, frsize=4096, flags=0)
    monkeypatch.setattr(SshServer, "space", lambda self: space)
    assert store.server.why(OSError()).errno == errno.ENOSPC
    monkeypatch.setattr(SshServer, "space", lambda self: SimpleNamespace(bavail=9_999, frsize=4096, flags=1))
    assert store.server.why(OSError()).errno == errno.EROFS
    with pytest.raises(NoSpace, match="is full"), store.faults("write x"):
        raise OSError(errno.ENOSPC, "No space left on device")


# Many at once, and the dead


@pytest.mark.parametrize("kind", ["ssh", "webdav"])
def test_of_many_who_want_one_new_name_one_gets_it(request, kind):
    store, place = made(host_of(request, kind))
    for number in range(6):
        key = f"records/{number}.json"
        with ThreadPoolExecutor(6) as several:
            tries = [several.submit(store.put_new, key, f"{who}".encode()) for who in range(6)]
            won = [who for who, one in enumerate(tries) if one.result()]
        assert len(won) == 1
        assert (place / key).read_bytes() == f"{won[0]}".encode()
    assert [path.name for path in place.rglob(".*")] == []


def test_while_another_makes_a_name_it_is_waited_for(dav):
    store, place = made(dav)
    (place / "records" / ".datakeep-probe-a.json").mkdir(parents=True)
    with ThreadPoolExecutor(1) as other:
        ours = other.submit(store.put_new, "records/a.json", b"ours")
        time.sleep(0.5)
        assert not ours.done()
        (place / "records/a.json").write_bytes(b"theirs")
        assert ours.result(timeout=PATIENCE_S) is False
    assert (place / "records/a.json").read_bytes() == b"theirs"


def test_a_claim_that_a_killed_maker_left_is_taken_over(dav):
    store, place = made(dav)
    claim = place / "records" / ".datakeep-probe-a.json"
    claim.mkdir(parents=True)
    os.utime(claim, (1_700_000_000, 1_700_000_000))
    assert store.put_new("records/a.json", b"x")
    assert not claim.exists()


@pytest.mark.parametrize("kind", ["ssh", "webdav"])
def test_what_writers_on_other_machines_left_goes_after_a_day(request, kind):
    store, place = made(host_of(request, kind))
    incoming = place / "orders/datakeep/incoming"
    elsewhere = f"{'0' * 16}-7-7-{'1' * 16}"
    living = f"{'0' * 16}-8-8-{'1' * 16}"
    for name, age_s in ((elsewhere, DEAD_AFTER_S + 600), (living, DEAD_AFTER_S - 600)):
        (incoming / name).mkdir(parents=True)
        (incoming / name / "1").write_bytes(b"half")
        then = time.time() - age_s
        os.utime(incoming / name / "1", (then, then))
        os.utime(incoming / name, (then, then))
    ours = incoming / session_name()
    ours.mkdir()
    store.tidy("orders")
    store.close()
    assert sorted(path.name for path in incoming.iterdir()) == sorted([living, ours.name])


INGEST = """
import sys
from pathlib import Path
from datakeep.core.progress import Silent
from datakeep.store.ingest import ingest
from datakeep.store.opening import open_store
from datakeep.store.scan import scan
class Told(Silent):
    def advance(self, amount=1, *, size_bytes=0):
        print("file", flush=True)
ingest(scan([Path(sys.argv[1])]).files, [open_store("far", sys.argv[2])], "orders", Told())
"""


@pytest.mark.parametrize("kind", ["ssh", "webdav"])
def test_a_killed_ingest_leaves_nothing_wrong_and_goes_on(request, source, tmp_path, kind):
    host = host_of(request, kind)
    store, place = made(host)
    for files in (1, 20):
        argv = [sys.executable, "-c", INGEST, source, host.url(place)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        for _ in range(files):
            assert process.stdout.readline() == b"file\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    whole = {object_key("orders", hashlib.md5(data).hexdigest()): len(data) for data in FILES.values()}
    left = {key: size for key, size in store.list("orders") if "/incoming/" not in key}
    assert left.items() <= whole.items(), "whole objects only"
    inventory = ingest(scan([source]).files, [store], "orders", Silent())
    assert dict(store.list("orders")) == whole, "what the killed had begun is gone, too"
    assert fetch(inventory, [store], "orders", tmp_path / "out", Silent()).unavailable == []
    assert files_in(tmp_path / "out") == FILES


class Halfway(Silent):
    """Calls ``act`` when so many files are done."""

    def __init__(self, files, act):
        self.left, self.act = files, act

    def advance(self, amount=1, *, size_bytes=0):
        self.left -= amount
        if self.left <= 0 and self.act:
            act, self.act = self.act, None
            act()


@pytest.mark.parametrize("kind", ["ssh", "webdav"])
def test_a_server_killed_in_the_middle_costs_the_same_command_again(tmp_path, source, kind, monkeypatch):
    host = (SshHost if kind == "ssh" else DavHost)(tmp_path / "server")
    host.folder.mkdir()
    host.start()
    try:
        if kind == "ssh":
            monkeypatch.setenv("HOME", str(host.known_by(tmp_path / "home")))
        else:
            for name, value in host.environment().items():
                monkeypatch.setenv(name, value)
        store, _ = made(host)
        files = scan([source]).files
        with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1") as caught:
            ingest(files, [store], "orders", Halfway(10, host.kill))
        assert caught.value.next_step
        host.start()
        inventory = ingest(files, [store], "orders", Silent())
        # While it is read, a server may come back in time.
        report = fetch(
            inventory, [store], "orders", tmp_path / "out", Halfway(10, lambda: (host.kill(), host.start()))
        )
        again = fetch(inventory, [store], "orders", tmp_path / "out", Silent())
    finally:
        host.kill()
    assert [fault.kind for fault in report.faults if fault.kind != "unreadable"] == []
    assert again.unavailable == []
    assert files_in(tmp_path / "out") == FILES


def once_for(every, fault):
    """The first request for every so many-th object fails; the next one for it does not."""
    seen = set()

    def choose(method, path, number):
        if method == "MOVE" or "/files/md5/" not in path or (method, path) in seen:
            return None
        seen.add((method, path))
        return fault if len(seen) % every == 0 else None

    return choose


@pytest.mark.parametrize("fault", ["reset", "truncate", "flip", (503, "SlowDown")], ids=str)
def test_what_passes_on_the_way_from_webdav_is_got_over(dav, source, tmp_path, monkeypatch, fault):
    store, place = made(dav)
    inventory = ingest(scan([source]).files, [store], "orders", Silent())
    with FaultProxy(f"http://127.0.0.1:{dav.port}", once_for(7, fault)) as proxy:
        monkeypatch.setenv("DATAKEEP_WEBDAV_HOST", proxy.endpoint_url.partition("//")[2])
        way = open_store("far", dav.url(place).replace(str(dav.port), proxy.endpoint_url.rpartition(":")[2]))
        report = fetch(inventory, [way], "orders", tmp_path / "out", Silent())
        assert proxy.faults >= 3
    assert (report.faults, report.unavailable) == ([], [])
    assert files_in(tmp_path / "out") == FILES


@pytest.mark.parametrize("kind", ["ssh", "webdav"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "deleted"])
def test_a_damaged_object_is_named_and_taken_from_another_store(request, source, tmp_path, kind, damage):
    store, place = made(host_of(request, kind))
    good = create_store("nas", str(tmp_path / "nas"), keep="vision")
    files = scan([source / "d3"]).files
    inventory = ingest(files, [store, good], "orders", Silent())
    data = FILES["d3/f3"]
    there = place / object_key("orders", hashlib.md5(data).hexdigest())
    if damage == "deleted":
        there.unlink()
    else:
        there.write_bytes(data[:-1] + (b"" if damage == "truncated" else bytes([data[-1] ^ 1])))
    report = fetch(inventory, [store, good], "orders", tmp_path / "out", Silent())
    assert [(fault.path, fault.store) for fault in report.faults] == [("f3", "far")]
    assert report.faults[0].kind == ("missing" if damage == "deleted" else "mismatched")
    copied = copy_objects(inventory, [good], store, "orders", Silent())
    assert (copied.copied, copied.unavailable) == (1, ()), "only the damaged one"
    assert there.read_bytes() == data
