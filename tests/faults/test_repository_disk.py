"""A vault on a disk that is full, and one that is read-only: two words, nothing lost, and it goes on afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, subprocess, sys
from datetime import UTC, datetime
from pathlib import Path
from datakeep.core.errors import DatakeepError
from datakeep.repository import Blob, DatasetRepository, Identity
from datakeep.repository.vault import create_bare, dataset_url, exists, fsck
disk, home = Path(sys.argv[1]), Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
url = dataset_url(str(disk / "git"), "orders")
create_bare(url, name="orders", make_base=True)
who, data = Identity("Aiko", "aiko@corp.example"), os.urandom(3_000_000)
def kind(call):
    try:
        return call()
    except DatakeepError as error:
        return type(error).__name__
def write(repository):
    blob = Blob("data/a", len(data), lambda: iter([data]))
    return repository.write(None, "v1", who, datetime.now(UTC), files={}, blobs=[blob])
orders = DatasetRepository(home / "cache", url)
orders.tag("v1", write(orders), "v1", who)
print(kind(lambda: orders.publish("v1")), fsck(url), orders.remote_tags())
print(kind(lambda: write(DatasetRepository(disk / "cache", url))))
subprocess.run(["mount", "-o", "remount,ro,size=20m", disk], check=True)
print(kind(lambda: orders.publish("v1")), kind(lambda: create_bare(dataset_url(str(disk / "git"), "b"), name="b")))
print(exists(url), kind(orders.fetch))
subprocess.run(["mount", "-o", "remount,rw,size=20m", disk], check=True)
orders.tag("v1", write(orders), "v1", who)
print(kind(lambda: orders.publish("v1")), fsck(url))
"""


def test_full_and_read_only_are_different_words(tmp_path):
    namespace = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "mount", "-t", "tmpfs", "tmpfs", tmp_path], check=False).returncode != 0:
        pytest.skip("this machine does not let a user mount a small disk for himself")
    (tmp_path / "disk").mkdir()
    argv = [*namespace, sys.executable, "-c", SCRIPT, str(tmp_path / "disk"), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "NoSpace [] {}",
        "NoSpace",
        "AccessDenied AccessDenied",
        "True None",
        "done []",
    ], done.stderr
