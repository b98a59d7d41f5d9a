"""A repair that is met by the death of the server that it repairs: whatever it said, the next one ends it."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time

import pytest
from object_server import ObjectServer, credentials
from server_process import PATIENCE_S

FILES = {f"f{number:03}.bin": random.Random(number).randbytes(3_000 + number) for number in range(80)}
ALL = len(FILES) + 2  # with the list of files and the inventory


@pytest.fixture
def server(tmp_path):
    """A server of our own, which can be killed."""
    server = ObjectServer(tmp_path / "server")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def bucket(aiko, keep, facts, server):
    """Bucket and prefix of a second store of the keep, whole; with one request at a time a repair takes a while."""
    place = server.place()
    source = aiko.cwd / "many"
    source.mkdir()
    for name, data in FILES.items():
        (source / name).write_bytes(data)
    aiko.extra.update(credentials())
    aiko.datakeep("register", "many", source, "--backend", "dvc", *facts, cwd=keep)
    url = f"s3://{place}?endpoint_url={server.endpoint_url}&region=us-east-1"
    aiko.datakeep("vault", "add", "cloud", url, cwd=keep)
    aiko.run("git", "config", "datakeep.store.cloud.connections", "1", cwd=keep)
    return place.partition("/")[::2]


def damage(server, bucket, chance):
    """Name to what is left of it, of two thirds of the objects: other bytes, none, or no object."""
    client, (name, prefix) = server.client(), bucket
    left = {}
    for path in chance.sample(sorted(FILES), 54):
        data = FILES[path]
        md5 = hashlib.md5(data).hexdigest()
        key = f"{prefix}/many/files/md5/{md5[:2]}/{md5[2:]}"
        left[md5] = chance.choice([bytes([data[0] ^ 1]) + data[1:], b"", None])
        if left[md5] is None:
            client.delete_object(Bucket=name, Key=key)
        else:
            client.put_object(Bucket=name, Key=key, Body=left[md5])
    return left


def objects(server, bucket, below):
    """Key to bytes of all objects below a folder of the dataset's, as another program reads them."""
    client, (name, prefix) = server.client(), bucket
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(
        Bucket=name, Prefix=f"{prefix}/many/{below}/"
    ):
        for one in page.get("Contents", ()):
            found[one["Key"]] = client.get_object(Bucket=name, Key=one["Key"])["Body"].read()
    return found


def wrong_in(found):
    """The objects whose bytes are not those of their names."""
    return [
        key
        for key, data in found.items()
        if hashlib.md5(data).hexdigest() != "".join(key.split("/")[-2:])[:32]
    ]


def restart_in_the_middle(server, bucket, process):
    """Kill the server with -9 once a few objects are mended, and start it again a moment later."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        if len(objects(server, bucket, "datakeep/quarantine")) >= 4:
            server.kill()
            again = threading.Timer(1, server.start)
            again.start()
            return again
        time.sleep(0.05)
    raise AssertionError("the repair was never in its middle")


@pytest.mark.timeout(600)
def test_a_server_killed_during_a_repair_is_repaired_by_the_next_one(aiko, keep, server, bucket):
    left = damage(server, bucket, random.Random(7))
    process = aiko.start("fsck", "--deep", "--repair", "--json", cwd=keep)
    restart_in_the_middle(server, bucket, process).join()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err + out
    assert process.returncode in (0, 3) or "error" in json.loads(out), (process.returncode, out, err)
    if process.returncode == 0:
        assert wrong_in(objects(server, bucket, "files")) == [], "it said that all is whole"
    for _ in range(3):
        ran = aiko.datakeep("fsck", "--deep", "--repair", "--json", cwd=keep, code=None)
        if ran.code == 0:
            break
    assert ran.code == 0, ran.out
    states = {
        state["store"]: state
        for state in aiko.datakeep("fsck", "--deep", "--json", cwd=keep).data["versions"]
    }
    assert {store: state["whole"] for store, state in states.items()} == {"main": ALL, "cloud": ALL}
    found = objects(server, bucket, "files")
    assert (len(found), wrong_in(found)) == (ALL, [])
    # What was bad was put aside, perhaps twice; nothing that was whole was.
    aside = set(objects(server, bucket, "datakeep/quarantine").values())
    assert aside == {data for data in left.values() if data is not None}
