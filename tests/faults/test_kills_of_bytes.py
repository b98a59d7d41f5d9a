"""SIGKILL at random moments of ingest, fetch and fsck --repair, folder and bucket: nothing damaged is accepted."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from object_server import credentials

from datakeep.core.progress import Silent
from datakeep.store.dvc_format import object_key
from datakeep.store.fetch import fetch
from datakeep.store.ingest import ingest
from datakeep.store.opening import create_store, open_store
from datakeep.store.scan import scan

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = {
    f"d{number % 9}/f{number:03}": random.Random(number).randbytes(100 + number * 40) for number in range(500)
}
FILES |= {"big": random.Random(0).randbytes(9_000_000)}
DRIVER = """
import sys
from pathlib import Path
from datakeep.core.progress import Silent
from datakeep.store import pool
from datakeep.store.fetch import fetch
from datakeep.store.ingest import ingest
from datakeep.store.opening import open_store
from datakeep.store.scan import scan
if __name__ == "__main__":
    what, source, destination, url, endpoint = sys.argv[1:]
    pool._BATCH_FILES = 40
    pool.PROCESSES_FROM_FILES = 1
    store = open_store("main", url, endpoint_url=endpoint or None)
    files = scan([Path(source)]).files
    if what == "fetch":
        inventory = ingest(files, [store], "orders", Silent())
    print("ready", flush=True)
    if what == "fetch":
        fetch(inventory, [store], "orders", Path(destination), Silent())
    else:
        ingest(files, [store], "orders", Silent())
"""


@dataclass
class Bench:
    """A store, a source, and a program that can be killed."""

    folder: Path
    url: str
    endpoint: str

    def store(self):
        return open_store("main", self.url, endpoint_url=self.endpoint or None)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def run(self, what: str, after_s: float) -> None:
        """Start ``what``, and kill it so long after it began."""
        argv = [sys.executable, self.folder / "driver.py", what, self.folder / "source", self.out]
        with subprocess.Popen(
            [*argv, self.url, self.endpoint], stdout=subprocess.PIPE, env=os.environ | credentials(),
            start_new_session=True,
        ) as process:  # fmt: skip
            process.stdout.readline()
            time.sleep(after_s)
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(params=["folder", "bucket"])
def bench(request, tmp_path):
    for path, data in FILES.items():
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_bytes(data)
    (tmp_path / "driver.py").write_text(DRIVER)
    url, endpoint = str(tmp_path / "store"), None
    if request.param == "bucket":
        server = request.getfixturevalue("s3")
        url, endpoint = f"s3://{server.place()}", server.endpoint_url
    create_store("main", url, keep="vision", endpoint_url=endpoint)
    return Bench(tmp_path, url, endpoint or "")


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def kill_ingest(bench: Bench, delays_s: list[float]) -> None:
    whole = {object_key("orders", hashlib.md5(data).hexdigest()): data for data in FILES.values()}
    for delay_s in delays_s:
        bench.run("ingest", delay_s)
        store = bench.store()
        for key in dict(store.list("orders/files")):
            with store.open_read(key) as chunks:
                assert b"".join(chunks) == whole[key]
        if dict(store.list("orders/files")).keys() == whole.keys():
            for key in whole:  # else the next one has nothing to do
                Path(bench.url, key).unlink() if not bench.endpoint else None
    ingest(scan([bench.folder / "source"]).files, [bench.store()], "orders", Silent())
    assert dict(bench.store().list("orders")).keys() == whole.keys(), "and nothing temporary"


def kill_fetch(bench: Bench, delays_s: list[float]) -> None:
    for delay_s in delays_s:
        bench.run("fetch", delay_s)
        if bench.out.exists():
            left = {
                path: data for path, data in files_in(bench.out).items() if "/" not in path or path[0] == "d"
            }
            assert all(FILES[path] == data for path, data in left.items()), "no wrong file has its final name"
            if len(left) == len(FILES):
                for path in list(left)[::2]:
                    (bench.out / path).unlink()
    inventory = ingest(scan([bench.folder / "source"]).files, [bench.store()], "orders", Silent())
    assert fetch(inventory, [bench.store()], "orders", bench.out, Silent()).unavailable == []
    assert files_in(bench.out) == FILES


def delays(count: int, longest_s: float, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [chance.uniform(0, longest_s) for _ in range(count)]


@pytest.mark.parametrize("kill", [kill_ingest, kill_fetch])
def test_a_sample_of_kills(bench: Bench, kill: Callable[[Bench, list[float]], None]) -> None:
    kill(bench, delays(3, 1.0, seed=1))


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kill", [kill_ingest, kill_fetch])
def test_two_hundred_kills(bench: Bench, kill: Callable[[Bench, list[float]], None]) -> None:
    kill(bench, delays(200, 1.2, seed=2))


@pytest.fixture(params=["folder", "bucket"])
def doubled(request, aiko, keep, facts):
    """A keep with two stores that both hold ``many``, the second of them of either kind."""
    source = aiko.cwd / "many"
    source.mkdir()
    for number in range(60):
        (source / f"{number:02}.bin").write_bytes(random.Random(number).randbytes(3000))
    aiko.datakeep("register", "many", source, "--backend", "dvc", *facts, cwd=keep)
    url = str(aiko.cwd / "second")
    if request.param == "bucket":
        server = request.getfixturevalue("s3")
        aiko.extra |= credentials()
        url = f"s3://{server.place()}?endpoint_url={server.endpoint_url}"
    aiko.datakeep("vault", "add", "second", url, cwd=keep)
    return keep.with_name("keep.vault") / "data" / "many" / "files"


def kill_repair(aiko, keep, objects: Path, count: int) -> None:
    chance = random.Random(3)
    whole = {path: path.read_bytes() for path in objects.rglob("*") if path.is_file()}
    for _ in range(count):
        for path in chance.sample(sorted(whole), 8):
            path.unlink(missing_ok=True) if chance.random() < 0.5 else path.write_bytes(b"wrong")
        process = aiko.start("fsck", "--deep", "--repair", cwd=keep)
        time.sleep(chance.uniform(0.3, 2.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
    aiko.datakeep("fsck", "--deep", "--repair", cwd=keep)
    assert {path: path.read_bytes() for path in whole} == whole
    assert aiko.datakeep("fsck", "--deep", "--json", cwd=keep).data["clean"]
    left = [path for path in objects.parent.rglob("*") if "incoming" in path.parts]
    assert not left, "and nothing temporary"


def test_a_killed_repair_is_completed_by_the_next(aiko, keep, doubled: Path) -> None:
    kill_repair(aiko, keep, doubled, 2)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_two_hundred_killed_repairs(aiko, keep, doubled: Path) -> None:
    kill_repair(aiko, keep, doubled, 200)
