"""A vault in a bucket: through the command line, with the real S3 server, and the real dvc as the judge."""

import hashlib
import sys
from pathlib import Path

import pytest
from object_server import BUCKET, credentials
from world import FACTS

from datakeep.core.progress import Silent
from datakeep.formats.inventory import FileEntry, Inventory
from datakeep.store.dvc_format import parse_pointer_file, parse_tree_object
from datakeep.store.fetch import fetch
from datakeep.store.opening import open_store
from datakeep.store.verified import fetch_object

DVC = Path(sys.executable).with_name("dvc")


def url_of(server, place):
    return f"s3://{place}?endpoint_url={server.endpoint_url}&region=us-east-1"


@pytest.fixture(scope="module")
def bucket_world(new_world, s3_server):
    """Aiko's keep with its bytes in a bucket only; she and Ken have the rights in their environment."""
    url = url_of(s3_server, s3_server.place())
    world = new_world("--vault-data", url, environment=credentials())
    world.register("orders")
    world.reference("orders")
    return world


def files_in(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_plain_dvc_pulls_what_was_registered(bucket_world, tmp_path):
    ken, vault = bucket_world.ken, bucket_world.vault
    ken.run("git", "clone", "-q", vault / "git" / "datasets" / "orders.git", tmp_path / "orders")
    config = (tmp_path / "orders" / ".dvc" / "config").read_text()
    assert "endpointurl = http://127.0.0.1:" in config
    assert "region = us-east-1" in config
    assert not any(secret in config for secret in credentials().values())
    ken.run(DVC, "pull", "-q", cwd=tmp_path / "orders")
    assert files_in(tmp_path / "orders" / "data") == files_in(bucket_world.orders)
    assert "in sync" in ken.run(DVC, "status", "-c", cwd=tmp_path / "orders").out
    assert "up to date" in ken.run(DVC, "status", cwd=tmp_path / "orders").out


def test_another_person_verifies_from_the_bucket_alone(bucket_world, tmp_path):
    ken, vault = bucket_world.ken, bucket_world.vault
    ken.run("git", "clone", "-q", vault / "git" / "keeps" / "keep.git", tmp_path / "keep")
    ken.datakeep("key", "create", cwd=tmp_path / "keep")
    ran = ken.datakeep("verify", "orders", "--sandbox", "none", "--json", cwd=tmp_path / "keep")
    assert ran.data["result"] == "passed"
    text = ken.datakeep("proof", "orders", "--json", cwd=tmp_path / "keep", code=None).out
    assert not any(secret in text for secret in credentials().values())


def test_a_checkout_brings_the_bytes_and_dvc_is_content(bucket_world, tmp_path):
    bucket_world.ken.datakeep(
        "-C", bucket_world.keep, "checkout", "orders", tmp_path / "out", cwd=bucket_world.ken.cwd
    )
    assert files_in(tmp_path / "out" / "data") == files_in(bucket_world.orders)
    assert "up to date" in bucket_world.ken.run(DVC, "status", cwd=tmp_path / "out").out


def test_an_update_sends_only_what_is_new(bucket_world, s3_server):
    aiko, keep, orders = bucket_world.aiko, bucket_world.keep, bucket_world.orders
    aiko.datakeep("register", "growing", orders, "--backend", "dvc", *FACTS, cwd=keep)
    before = objects(s3_server, "/growing/")
    (orders / "new.bin").write_bytes(b"new")
    try:
        aiko.datakeep("update", "growing", orders, "--message", "one more", cwd=keep)
    finally:
        (orders / "new.bin").unlink()
    after = objects(s3_server, "/growing/")
    assert {key: when for key, when in after.items() if key in before} == before
    assert len(after) == len(before) + 3, "the file, the list of files, the inventory"


def objects(server, part):
    """When each object whose key has ``part`` was written, by key."""
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {
        one["Key"]: one["LastModified"] for page in pages for one in page["Contents"] if part in one["Key"]
    }


def test_a_second_store_is_filled_from_the_first_and_mended_from_it(bucket_world, s3_server):
    aiko, keep = bucket_world.aiko, bucket_world.keep
    place = s3_server.place()
    url = url_of(s3_server, place)
    added = aiko.datakeep("vault", "add", "cloud", url, "--json", cwd=keep).data
    assert added["objects_copied"] > 0
    text = (keep / "keep.yaml").read_text()
    assert text.count(f"endpoint_url: {s3_server.endpoint_url}") == 2
    again = aiko.datakeep("vault", "add", "cloud", url, "--json", cwd=keep).data
    assert again["objects_copied"] == 0
    assert again["objects_present"] == added["objects_copied"] + added["objects_present"]
    places = aiko.datakeep("vault", "list", "--json", cwd=keep).data["places"]
    assert [found["fault"] for found in places] == [None] * 3
    name = hashlib.md5((bucket_world.orders / "same-a.bin").read_bytes()).hexdigest()
    bucket, _, prefix = place.partition("/")
    key = f"{prefix}/orders/files/md5/{name[:2]}/{name[2:]}"
    s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"\x00\xfe" * 64)
    aiko.datakeep("fsck", "orders", cwd=keep)
    aiko.datakeep("fsck", "orders", "--deep", cwd=keep, code=3)
    aiko.datakeep("fsck", "orders", "--deep", "--repair", cwd=keep)
    aiko.datakeep("fsck", "orders", "--deep", cwd=keep)


def test_without_rights_one_sentence_says_so(bucket_world):
    ken, keep = bucket_world.ken, bucket_world.keep
    ken.extra |= credentials("reader")
    try:
        ran = ken.datakeep("-C", keep, "vault", "list", cwd=ken.cwd, code=0)
        ken.extra["AWS_SECRET_ACCESS_KEY"] = "not-the-Secret"
        ran = ken.datakeep("-C", keep, "vault", "list", cwd=ken.cwd, code=3)
    finally:
        ken.extra |= credentials()
    assert "the secret does not belong to the key id" in ran.out
    assert "not-the-Secret" not in ran.out + ran.err


def test_what_dvc_pushed_to_a_bucket_is_read(s3, aiko, tmp_path):
    aiko.extra |= credentials()
    work, place = aiko.cwd, s3.place().replace(" ", "-")
    files = {"a.txt": b"1", "deep/b.bin": b"\0\r\n" * 4_000_000, "empty": b"", "日本.txt": "語".encode()}
    for path, data in files.items():
        (work / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (work / "data" / path).write_bytes(data)
    aiko.run("git", "init", "-q", ".")
    aiko.run(DVC, "init", "-q")
    aiko.run(DVC, "remote", "add", "-d", "main", f"s3://{place}/orders")
    aiko.run(DVC, "remote", "modify", "main", "endpointurl", s3.endpoint_url)
    aiko.run(DVC, "add", "-q", "data")
    aiko.run(DVC, "push", "-q")
    store = open_store("main", f"s3://{place}", endpoint_url=s3.endpoint_url)
    pointer = parse_pointer_file((work / "data.dvc").read_text(), what="data.dvc")
    tree = parse_tree_object(fetch_object(pointer.md5, [store], "orders", limit_bytes=10_000), what="it")
    assert tree == {path: hashlib.md5(data).hexdigest() for path, data in files.items()}
    rows = [
        FileEntry(path, len(data), hashlib.md5(data).digest(), hashlib.sha256(data).digest())
        for path, data in files.items()
    ]
    store.put(
        "datakeep-store.json", [b'{"format": "datakeep/store/1", "keep": "k", "created": "2026-11-01"}']
    )
    report = fetch(Inventory.of(rows), [store], "orders", tmp_path / "out", Silent())
    assert report.unavailable == []
    assert files_in(tmp_path / "out") == files


def test_dvc_misses_nothing_and_would_collect_nothing(bucket_world, s3_server, tmp_path):
    """And it would, if there were something: its answers are not empty for another reason."""
    ken, vault, clone = bucket_world.ken, bucket_world.vault, tmp_path / "orders"
    not_in_remote = (DVC, "data", "status", "--not-in-remote", "--granular", "--json")
    collect = (DVC, "gc", "--all-tags", "--cloud", "--dry", "--force")
    nothing = "No unused cache to remove from remote."
    ken.run("git", "clone", "-q", vault / "git" / "datasets" / "orders.git", clone)
    ken.run(DVC, "pull", "-q", cwd=clone)
    assert ken.run(*not_in_remote, cwd=clone).data == {}
    assert ken.run(*collect, cwd=clone).out.count(nothing) == 2, "in DVC 3's layout and in the older one"
    name = hashlib.md5((bucket_world.orders / "same-a.bin").read_bytes()).hexdigest()
    # The bucket has other tests' datasets of the same name and bytes.
    prefix = (
        (clone / ".dvc" / "config")
        .read_text()
        .partition(f"s3://{BUCKET}/")[2]
        .partition("\n")[0]
        .strip(" '\"")
    )
    key = f"{prefix}/files/md5/{name[:2]}/{name[2:]}"
    client = s3_server.client()
    data = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    stray = f"{prefix}/files/md5/ee/{'0' * 30}"
    client.put_object(Bucket=BUCKET, Key=stray, Body=b"stray")
    client.delete_object(Bucket=BUCKET, Key=key)
    try:
        ken.extra["DVC_SITE_CACHE_DIR"] = str(tmp_path / "site")  # without what it remembers of the remote
        missed = ken.run(*not_in_remote, cwd=clone).data["not_in_remote"]
        assert {path for path in missed if path.endswith(".bin")} == {"data/same-a.bin", "data/same-b.bin"}
        assert ken.run(*collect, cwd=clone).out.count(nothing) < 2
    finally:
        del ken.extra["DVC_SITE_CACHE_DIR"]
        client.put_object(Bucket=BUCKET, Key=key, Body=data)
        client.delete_object(Bucket=BUCKET, Key=stray)
