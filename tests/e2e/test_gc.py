"""``gc`` as its users call it; in a bucket; and killed in the middle of its work."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from object_server import credentials

from datakeep.core.progress import Silent
from datakeep.workflows.gc import Sweep, gc
from datakeep.workflows.keep import open_keep

if TYPE_CHECKING:
    from object_server import ObjectServer
    from world import Person

DVC = Path(sys.executable).with_name("dvc")


@pytest.fixture
def orders_kept(aiko: Person, keep: Path, vault: Path, orders: Path, facts: tuple[str, ...]) -> Path:
    """The folder of ``orders`` in the first of two stores."""
    aiko.datakeep("register", "orders", orders, "--backend", "dvc", *facts, cwd=keep)
    aiko.datakeep("vault", "add", "nas", aiko.cwd / "nas", cwd=keep)
    return vault / "data" / "orders"


def _strays(folder: Path, count: int, days: int = 40) -> list[Path]:
    """Objects that nothing refers to, written so many days ago."""
    made = []
    then = time.time() - days * 86400
    for number in range(count):
        path = folder / "files" / "md5" / "ee" / f"{number:030x}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"stray")
        os.utime(path, (then, then))
        made.append(path)
    return made


def test_looking_deletes_nothing_and_says_what_would(aiko: Person, keep: Path, orders_kept: Path) -> None:
    assert "everything is referred to" in aiko.datakeep("gc", cwd=keep).out
    strays = _strays(orders_kept, 3)
    said = aiko.datakeep("gc", cwd=keep).out
    assert (
        "orders in main: 3 objects that nothing refers to (15 bytes), 40 days old, all older than 30 days"
        in said
    )
    assert "datakeep gc --delete deletes 3 objects (15 bytes)" in said
    assert aiko.datakeep("gc", "--dry-run", cwd=keep).out == said
    assert all(path.is_file() for path in strays)
    assert "deleted 0 objects" in aiko.datakeep("gc", "--delete", "--grace", "50d", cwd=keep).out
    assert "deleted 3 objects" in aiko.datakeep("gc", "--delete", cwd=keep).out
    assert not any(path.exists() for path in strays)
    aiko.datakeep("fsck", "--deep", cwd=keep)


def test_options_that_could_do_harm_are_refused(aiko: Person, keep: Path, orders_kept: Path) -> None:
    assert "at least 1d" in aiko.datakeep("gc", "--delete", "--grace", "0d", cwd=keep, code=2).err
    aiko.datakeep("gc", "--delete", "--dry-run", cwd=keep, code=2)
    shutil.rmtree(aiko.cwd / "nas" / "orders")
    refused = aiko.datakeep("gc", "--delete", cwd=keep, code=33).err
    assert "orders@v1 in nas: not whole" in refused
    assert "datakeep fsck" in refused


def test_a_killed_gc_has_deleted_nothing_that_is_needed(aiko: Person, keep: Path, orders_kept: Path) -> None:
    strays = _strays(orders_kept, 3000)
    for _ in range(3):
        process = aiko.start("gc", "--delete", cwd=keep)
        left = sum(path.exists() for path in strays)
        while process.poll() is None and sum(path.exists() for path in strays) == left:
            pass
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert aiko.datakeep("fsck", "--deep", "--json", cwd=keep).data["clean"]
    aiko.datakeep("gc", "--delete", cwd=keep)
    assert not any(path.exists() for path in strays)


def test_dvc_is_content_afterwards(
    aiko: Person, ken: Person, keep: Path, vault: Path, orders_kept: Path
) -> None:
    _strays(orders_kept, 2)
    aiko.datakeep("gc", "--delete", cwd=keep)
    place = ken.cwd / "orders"
    ken.run("git", "clone", "--quiet", vault / "git" / "datasets" / "orders.git", place)
    ken.run(DVC, "pull", "--quiet", cwd=place)
    assert "in sync" in ken.run(DVC, "status", "-c", cwd=place).out


def test_a_bucket(
    new_world: object, s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = s3_server.place()
    url = f"s3://{place}?endpoint_url={s3_server.endpoint_url}&region=us-east-1"
    world = new_world("--vault-data", url, "--vault-data", tmp_path / "disk", environment=credentials())
    world.register("orders")
    for name, value in world.aiko.env.items():
        monkeypatch.setenv(name, value)
    bucket, _, prefix = place.partition("/")
    key = f"{prefix}/orders/files/md5/ee/{'0' * 30}"
    client = s3_server.client()
    client.put_object(Bucket=bucket, Key=key, Body=b"stray")
    written = client.head_object(Bucket=bucket, Key=key)["LastModified"]
    while datetime.now(UTC) < written + timedelta(seconds=2):  # its clock has whole seconds
        time.sleep(0.1)
    assert gc(open_keep(world.keep, Silent()), Sweep(delete=True)).deleted == []
    done = gc(open_keep(world.keep, Silent()), Sweep(delete=True, grace=timedelta(0)))
    assert [one.key for one in done.deleted] == [f"orders/files/md5/ee/{'0' * 30}"]
    assert world.aiko.datakeep("fsck", "--deep", "--json", cwd=world.keep).data["clean"]
