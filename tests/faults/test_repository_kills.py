"""SIGKILL at random points: the next run of the same thing ends well, and nothing half-done is ever listed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from datakeep.core.errors import AlreadyExists
from datakeep.repository import Change, DatasetRepository, Identity, KeepRepository
from datakeep.repository.vault import create_bare, dataset_url, fsck, keep_url

AIKO = Identity("Aiko Tanaka", "aiko@corp.example")
NOW = datetime(2026, 11, 20, 3, 10, tzinfo=UTC)
REGISTER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from datakeep.repository import Blob, Change, DatasetRepository, Identity, KeepRepository
root, url, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
who, now = Identity("Aiko Tanaka", "aiko@corp.example"), datetime.now(UTC)
keep = KeepRepository.open(root)
orders = DatasetRepository(root / ".datakeep/cache/orders", url)
version = f"v{number}"
orders.fetch()
if version not in orders.tags():
    data = str(number).encode() * 100_000
    blob = Blob("data/a", len(data), lambda: iter([data]))
    commit = orders.write(orders.head(), version, who, now, files={}, blobs=[blob])
    orders.tag(version, commit, version, who)
    orders.publish(version)
commit = orders.tags()[version]
path = f"register/orders/{version}.yaml"
print("started", flush=True)
change = Change({path: commit.encode(), "newest": version.encode()}, {"datasets/orders": commit})
keep.transact(lambda tree: change, version, who)
"""


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    base = str(tmp_path / "vault/git")
    urls = keep_url(base, "k"), dataset_url(base, "orders")
    for url in urls:
        create_bare(url, name="x", make_base=True)
    keep = KeepRepository.create(tmp_path / "keep", urls[0])
    keep.transact(lambda tree: Change({"keep.yaml": b"x"}), "first", AIKO)
    return keep, urls


def run(keep, url, number, *, kill_after_s=None):
    argv = [sys.executable, "-c", REGISTER, str(keep.root), url, str(number)]
    process = subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        # Sometimes git survives its parent, as it does under the out-of-memory killer.
        kill = os.killpg if random.random() < 0.7 else os.kill
        kill(process.pid, signal.SIGKILL)
    stderr = process.communicate()[1].decode()
    return process.returncode, stderr


def assert_whole(keep, urls):
    """Whatever is listed is there, whole, and says the same everywhere."""
    orders = DatasetRepository(keep.root.parent / "fresh", urls[1])
    orders.remove()
    orders.fetch()
    for path in keep.list("register/"):
        version = path.split("/")[-1].removesuffix(".yaml")
        commit = keep.read(path).decode()
        assert orders.tags()[version] == commit
        assert orders.read(commit, "data/a") == version[1:].encode() * 100_000
    assert [fsck(url) for url in urls] == [[], []]


def kills(places, count):
    keep, urls = places
    start = time.perf_counter()
    assert run(keep, urls[1], 1) == (0, "")
    whole_s = time.perf_counter() - start
    for number in range(2, count + 2):
        run(keep, urls[1], number, kill_after_s=random.uniform(0.1, 1.0) * whole_s)
        assert_whole(keep, urls)
        assert run(keep, urls[1], number) == (0, "")
        assert keep.read("newest") == f"v{number}".encode()
        status = subprocess.run(
            ["git", "status", "--porcelain"], cwd=keep.root, capture_output=True, check=True
        )
        assert status.stdout == b""
    assert_whole(keep, urls)
    assert len(keep.list("register/")) == count + 1


def test_a_sample_of_kills(places):
    random.seed(2)
    kills(places, 8)


@pytest.mark.long
def test_a_hundred_kills(places):
    kills(places, 100)


def test_two_processes_register_at_once(places, tmp_path):
    keep, urls = places
    subprocess.run(["git", "clone", "-q", urls[0], tmp_path / "other"], check=True)
    script = (
        "import sys; from pathlib import Path; from datakeep.repository import *\n"
        "keep = KeepRepository.open(Path(sys.argv[1]))\n"
        "for n in range(4):\n"
        "    keep.transact(lambda tree: Change({f'{sys.argv[2]}{n}': b'x'}), 'x', Identity('a', 'a@b'))\n"
    )
    argv = [[sys.executable, "-c", script, str(root), root.name] for root in (keep.root, tmp_path / "other")]
    processes = [subprocess.Popen(one) for one in argv]
    assert [process.wait() for process in processes] == [0, 0]
    keep.refresh()
    assert len(keep.list()) == 9
    assert fsck(urls[0]) == []


def test_the_same_name_in_two_clones_is_one_refusal(places, tmp_path):
    keep, urls = places
    subprocess.run(["git", "clone", "-q", urls[0], tmp_path / "other"], check=True)
    other = KeepRepository.open(tmp_path / "other")

    def register(tree):
        if tree.read("register/orders/v1.yaml"):
            raise AlreadyExists("orders is registered", next_step="datakeep show orders")
        other_first()
        return Change({"register/orders/v1.yaml": b"mine"})

    calls = []

    def other_first():
        if not calls:
            calls.append(1)
            other.transact(lambda tree: Change({"register/orders/v1.yaml": b"theirs"}), "theirs", AIKO)

    with pytest.raises(AlreadyExists):
        keep.transact(register, "mine", AIKO)
    keep.refresh()
    assert keep.read("register/orders/v1.yaml") == b"theirs"


def test_a_full_vault_is_said_and_leaves_nothing(places):
    """git reports a full disk itself; here the quota is the file size limit of the process."""
    keep, urls = places
    script = REGISTER.replace(
        "import sys", "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))", 1
    )
    argv = [sys.executable, "-c", script, str(keep.root), urls[1], "1"]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode != 0
    assert_whole(keep, urls)
    assert run(keep, urls[1], 1) == (0, "")
    assert_whole(keep, urls)
