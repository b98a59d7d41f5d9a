"""A keep whose bytes lie on an SSH server, and on a WebDAV server: the whole way, and the real dvc as the judge."""

import hashlib
import json
import os
import shutil
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from file_servers import DAV_PASSWORD, DAV_USER
from world import FACTS

DVC = Path(sys.executable).with_name("dvc")


def files_in(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def ssh_world(new_world, ssh_host):
    """Aiko's keep with its bytes on an SSH server only; she and Ken have a key, and know the host's."""
    place = ssh_host.place()
    world = new_world("--vault-data", ssh_host.url(place), homes=ssh_host.known_by)
    world.place = place
    world.register("orders")
    world.reference("orders")
    return world


@pytest.fixture(scope="module")
def dav_world(new_world, dav_host):
    """Aiko's keep with its bytes on a WebDAV server only; the password is in the environment."""
    place = dav_host.place()
    world = new_world("--vault-data", dav_host.url(place), environment=dav_host.environment())
    world.place = place
    world.register("orders")
    return world


def object_of(world, dataset, file):
    name = hashlib.md5((world.orders / file).read_bytes()).hexdigest()
    return world.place / dataset / "files/md5" / name[:2] / name[2:]


def sign_in_for_dvc(clone):
    """What a user of plain dvc states once for a WebDAV remote; it stays on this machine."""
    text = f"['remote \"main\"']\n    user = {DAV_USER}\n    password = {DAV_PASSWORD}\n"
    (clone / ".dvc" / "config.local").write_text(text)


def clone_of(world, tmp_path):
    world.ken.run("git", "clone", "-q", world.vault / "git" / "datasets" / "orders.git", tmp_path / "orders")
    return tmp_path / "orders"


def test_plain_dvc_pulls_over_ssh_what_was_registered(ssh_world, tmp_path):
    clone = clone_of(ssh_world, tmp_path)
    ssh_world.ken.run(DVC, "pull", "-q", cwd=clone)
    assert files_in(clone / "data") == files_in(ssh_world.orders)
    assert "in sync" in ssh_world.ken.run(DVC, "status", "-c", cwd=clone).out


def test_plain_dvc_pulls_over_webdav_what_was_registered(dav_world, tmp_path):
    clone = clone_of(dav_world, tmp_path)
    config = (clone / ".dvc" / "config").read_text()
    assert "url = webdav://127.0.0.1:" in config
    assert not any(secret in config for secret in (DAV_USER, DAV_PASSWORD))
    card = (clone / "README.md").read_text()
    assert "`pip install 'dvc[webdav]'`" in card
    assert "dvc remote modify --local main password PASSWORD" in card
    sign_in_for_dvc(clone)
    dav_world.ken.run(DVC, "pull", "-q", cwd=clone)
    assert files_in(clone / "data") == files_in(dav_world.orders)
    assert "in sync" in dav_world.ken.run(DVC, "status", "-c", cwd=clone).out


def pushed(person, folder, url):
    """A DVC repository whose objects plain dvc has pushed, and no longer has."""
    files = {"a.txt": b"1", "deep/b.bin": b"\0\r\n" * 3_000_000, "empty": b"", "日本.txt": "語".encode()}
    for path, data in files.items():
        (folder / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / path).write_bytes(data)
    run = partial(person.run, cwd=folder)
    run("git", "init", "-q", ".")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text(
        f"[core]\n    remote = main\n['remote \"main\"']\n    url = {url}\n"
    )
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    if url.startswith("webdav"):
        sign_in_for_dvc(folder)
    run(DVC, "add", "-q", "data")
    run(DVC, "push", "-q")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "data")
    shutil.rmtree(folder / ".dvc" / "cache")
    return files


@pytest.mark.parametrize("kind", ["ssh", "webdav"])
def test_what_dvc_pushed_is_adopted(ssh_world, dav_world, ssh_host, dav_host, tmp_path, kind):
    world = ssh_world if kind == "ssh" else dav_world
    host = ssh_host if kind == "ssh" else dav_host
    place = host.place()
    place.mkdir()
    files = pushed(world.aiko, tmp_path / "theirs", host.url(place))
    name = f"from-{kind}"
    world.aiko.datakeep("adopt", tmp_path / "theirs", "--name", name, *FACTS, cwd=world.keep)
    world.ken.datakeep("-C", world.keep, "checkout", name, tmp_path / "out", cwd=world.ken.cwd)
    assert files_in(tmp_path / "out" / "data") == files


def test_another_person_verifies_from_the_ssh_server_alone(ssh_world, tmp_path):
    ken, vault = ssh_world.ken, ssh_world.vault
    ken.run("git", "clone", "-q", vault / "git" / "keeps" / "keep.git", tmp_path / "keep")
    ken.datakeep("key", "create", cwd=tmp_path / "keep")
    ran = ken.datakeep("verify", "orders", "--sandbox", "none", "--json", cwd=tmp_path / "keep")
    assert ran.data["result"] == "passed"
    assert "ssh keys of ~/.ssh and the ssh agent" in json.dumps(ran.data)


def damage(world):
    """One object of the store has other bytes of the same length."""
    object_of(world, "orders", "same-a.bin").write_bytes(b"\x00\xfe" * 64)


def test_the_life_of_a_store_on_an_ssh_server(ssh_world, ssh_host):
    """A second store, a new version, a damage that is found and mended, and what nothing refers to."""
    run, second = partial(ssh_world.aiko.datakeep, cwd=ssh_world.keep), ssh_host.place()
    assert run("vault", "add", "second", ssh_host.url(second), "--json").data["objects_copied"] > 0
    (ssh_world.orders / "new.bin").write_bytes(b"new")
    try:
        run("update", "orders", ssh_world.orders, "-m", "one more")
    finally:
        (ssh_world.orders / "new.bin").unlink()
    nobodys = second / "orders/files/md5/00/11223344556677889900aabbccddee"
    nobodys.parent.mkdir(exist_ok=True)
    nobodys.write_bytes(b"nobody's")
    os.utime(nobodys, (1_700_000_000, 1_700_000_000))
    damage(ssh_world)
    assert "1 object" in run("fsck", "orders", "--deep", "--repair").out
    assert object_of(ssh_world, "orders", "same-a.bin").read_bytes() == b"\x00\xff" * 64
    run("gc", "--delete", "--quarantine")
    assert not nobodys.exists()
    assert left_of(ssh_world.place) == left_of(second) == []
    run("vault", "remove", "second", "-m", "the test is over", "--below-policy")


def left_of(place):
    """What killed or careless writers would leave."""
    return [path for path in place.rglob("*") if "incoming" in path.parts or path.name.startswith(".")]


def test_the_life_of_a_store_on_a_webdav_server(dav_world, dav_host, tmp_path):
    """A second store, a damage that is found and mended, and a checkout of what was mended."""
    run, second = partial(dav_world.aiko.datakeep, cwd=dav_world.keep), dav_host.place()
    assert run("vault", "add", "second", dav_host.url(second), "--json").data["objects_copied"] > 0
    damage(dav_world)
    run("fsck", "orders", "--deep", "--repair")
    run("gc", "--delete", "--quarantine")
    run("checkout", "orders", tmp_path / "out")
    assert files_in(tmp_path / "out" / "data") == files_in(dav_world.orders)
    assert [path for path in left_of(dav_world.place) + left_of(second) if path.name != "incoming"] == []


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("ssh://aiko:hunter2@127.0.0.1/keep", 26, "holds a password"),
        ("shh://127.0.0.1/keep", 31, "did you mean ssh://?"),
        ("ssh:///keep", 2, "names no host"),
        ("ssh://no-such-host.invalid/keep", 17, "the name no-such-host.invalid cannot be resolved"),
        ("ssh://127.0.0.1:{port}{files}/no/keep", 17, "is missing on 127.0.0.1"),
        ("gdrive://folder/keep", 25, "pip install 'dvc-gdrive'"),
    ],
)
def test_what_is_wrong_with_a_place_is_one_sentence(ssh_world, ssh_host, url, code, said):
    url = url.format(port=ssh_host.port, files=ssh_host.files)
    ran = ssh_world.aiko.datakeep("vault", "add", "second", url, cwd=ssh_world.keep, code=code)
    assert said in ran.err
    assert "next: " in ran.err
    assert "hunter2" not in ran.out + ran.err
    assert "second" not in (ssh_world.keep / "keep.yaml").read_text()


def test_a_stranger_to_the_host_is_told_what_to_type(ssh_world, ken, tmp_path):
    ken.run("git", "clone", "-q", ssh_world.vault / "git" / "keeps" / "keep.git", tmp_path / "keep")
    ran = ken.datakeep("checkout", "orders", tmp_path / "out", cwd=tmp_path / "keep", code=18)
    assert "is not in your known_hosts" in ran.err
    assert "next: connect once with `ssh -p" in ran.err


@pytest.mark.parametrize("kind", ["ssh", "webdav"])
def test_an_examination_says_what_can_be_seen_and_what_not(ssh_world, dav_world, kind):
    world = ssh_world if kind == "ssh" else dav_world
    out = world.aiko.datakeep("vault", "check", cwd=world.keep, code=None).out
    assert "only the administrator of 127.0.0.1 can say" in out
    assert ("your known_hosts" in out) == (kind == "ssh")


def test_a_mirror_on_a_web_server_is_read_and_never_written(ssh_world, tmp_path):
    ken, vault = ssh_world.ken, ssh_world.vault
    handler = partial(SimpleHTTPRequestHandler, directory=str(ssh_world.place))
    ken.run("git", "clone", "-q", vault / "git" / "keeps" / "keep.git", tmp_path / "keep")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        ken.run("git", "config", "datakeep.store.main.url", url, cwd=tmp_path / "keep")
        ken.datakeep("checkout", "orders@v2", tmp_path / "out", cwd=tmp_path / "keep")
        ran = ssh_world.aiko.datakeep("vault", "add", "web", f"{url}/more", cwd=ssh_world.keep, code=31)
        server.shutdown()
    assert files_in(tmp_path / "out" / "data") == files_in(ssh_world.orders)
    assert "cannot be written to" in ran.err
