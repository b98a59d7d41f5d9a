"""The lies that DVC believes, told by a bucket: a version that is damaged there fails, named to the last detail.

And what ``fsck`` tells of a bucket: by the server's own checksums without reading, and by reading everything.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from fault_proxy import FaultProxy
from object_server import ObjectServer, credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from world import World


@dataclass
class Bucket:
    """A keep whose bytes lie in a bucket only, and the way to its objects behind datakeep's back."""

    world: World
    server: ObjectServer
    place: str

    def __post_init__(self) -> None:
        self.client = self.server.client()
        self.name, _, self.prefix = self.place.partition("/")

    def key(self, md5: str) -> str:
        return f"{self.prefix}/orders/files/md5/{md5[:2]}/{md5[2:]}"

    def pointed_to(self, pointer: str) -> str:
        """The key of the object that a .dvc file of the newest commit points to."""
        repository = self.world.vault / "git" / "datasets" / "orders.git"
        text = self.world.aiko.run("git", "--git-dir", repository, "show", f"main:{pointer}").out
        found = re.search(r"md5: ([0-9a-f]{32}\S*)", text)
        assert found
        return self.key(found[1])

    def of_file(self, path: str) -> str:
        return self.key(hashlib.md5((self.world.orders / path).read_bytes()).hexdigest())

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def write(self, key: str, data: bytes, **how: str) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data, **how)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    @contextmanager
    def damaged(self, key: str, how: Callable[[Bucket, str], None]) -> Iterator[None]:
        """``key`` is damaged within the block, and as it was after it."""
        saved = self.read(key)
        how(self, key)
        try:
            yield
        finally:
            self.write(key, saved, ChecksumAlgorithm="SHA256")


def flipped(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    return bytes(changed)


def flip(bucket: Bucket, key: str) -> None:
    bucket.write(key, flipped(bucket.read(key)))


def cut(bucket: Bucket, key: str) -> None:
    bucket.write(key, bucket.read(key)[:-1])


def empty(bucket: Bucket, key: str) -> None:
    bucket.write(key, b"")


def delete(bucket: Bucket, key: str) -> None:
    bucket.delete(key)


def replace(bucket: Bucket, key: str) -> None:
    """Another valid object, whole in itself, as a confused copy script leaves it."""
    bucket.write(key, bucket.read(bucket.of_file("test/orders.csv")), ChecksumAlgorithm="SHA256")


@pytest.fixture(scope="module")
def bucket(new_world: Callable[..., World], s3_server: ObjectServer) -> Bucket:
    place = s3_server.place()
    url = f"s3://{place}?endpoint_url={s3_server.endpoint_url}&region=us-east-1"
    world = new_world("--vault-data", url, environment=credentials())
    file = world.keep / "keep.yaml"
    file.write_text(file.read_text("utf-8").replace("copies: 2", "copies: 1"), "utf-8")
    world.aiko.run("git", "commit", "-qam", "one copy will do", cwd=world.keep)
    world.aiko.run("git", "push", "-q", cwd=world.keep)
    world.register("orders")
    return Bucket(world, s3_server, place)


def failed_bytes(world: World) -> dict[str, Any]:
    """What the verification says, which must fail at the stage bytes and name the vault's administrator."""
    said = world.aiko.datakeep("verify", "orders", "--json", cwd=world.keep, code=3).data
    assert (said["result"], said["at_fault"], said["who_must_act"]) == ("failed", "bytes", "administrator")
    assert "restore" in said["next"]
    return said["stages"][1]


@pytest.mark.parametrize("how", [flip, cut, empty, delete, replace])
def test_a_bad_object(bucket: Bucket, how: Callable[[Bucket, str], None]) -> None:
    with bucket.damaged(bucket.of_file("train/orders.csv"), how):
        said = failed_bytes(bucket.world)
    assert "orders@v1" in said["what"]
    assert "data/train/orders.csv" in said["what"]
    assert "4/5 files present and matching" in said["what"]
    assert [line for line in said["evidence"] if "train/orders.csv" in line and "store main" in line]


@pytest.mark.parametrize(
    ("pointer", "how"),
    [("data.dvc", flip), ("data.dvc", delete), ("data.dvc", replace), ("inventory.parquet.dvc", flip)],
)
def test_a_bad_list_of_files(bucket: Bucket, pointer: str, how: Callable[[Bucket, str], None]) -> None:
    with bucket.damaged(bucket.pointed_to(pointer), how):
        said = failed_bytes(bucket.world)
    assert "orders@v1" in said["what"]
    assert pointer.removesuffix(".dvc") in said["what"]
    assert [line for line in said["evidence"] if "store main" in line]


def fsck(bucket: Bucket, *options: str, code: int) -> dict[str, Any]:
    return bucket.world.aiko.datakeep("fsck", *options, "--json", cwd=bucket.world.keep, code=code).data


def test_deep_finds_every_damage_and_no_other(bucket: Bucket) -> None:
    clean = fsck(bucket, "--deep", code=0)["versions"][0]
    assert (clean["whole"], clean["objects"]) == (6, 6)
    keys = [bucket.of_file("train/orders.csv"), bucket.of_file("same-a.bin"), bucket.pointed_to("data.dvc")]
    with (
        bucket.damaged(keys[0], flip),
        bucket.damaged(keys[1], delete),
        bucket.damaged(keys[2], replace),
    ):
        found = fsck(bucket, "--deep", code=3)["versions"][0]
    assert found["missing"] == ["data/same-a.bin"]
    assert [line.partition(":")[0] for line in found["wrong"]] == [
        "data.dvc (the list of files)",
        "data/train/orders.csv",
    ]
    assert found["whole"] == 3
    assert fsck(bucket, "--deep", code=0)["clean"]


def test_quick_asks_the_server_for_its_sha256_and_says_what_it_cannot_see(bucket: Bucket) -> None:
    world, victim = bucket.world, bucket.of_file("train/orders.csv")

    def swap(bucket: Bucket, key: str) -> None:
        bucket.write(key, flipped(bucket.read(key)), ChecksumAlgorithm="SHA256")

    said = world.aiko.datakeep("fsck", cwd=world.keep).out
    assert "6 objects; sizes, and of 6 the store's own sha256, compared, no byte read" in said
    assert "what decayed there after its sha256 was stated is not seen this way" in said
    with bucket.damaged(victim, swap):
        said = world.aiko.datakeep("fsck", cwd=world.keep, code=3).out
        assert "wrong: data/train/orders.csv: other bytes of the same size, by the store's own sha256" in said
    with bucket.damaged(victim, flip):  # written by a program that sends no sha256
        said = world.aiko.datakeep("fsck", cwd=world.keep).out
        assert "sizes, and of 5 the store's own sha256, compared" in said
        assert "flipped bits are not seen where no sha256 is stated" in said
    assert fsck(bucket, code=0)["stated_by_store"] == 6


def test_a_server_that_tells_no_checksum_leaves_the_sizes_and_one_that_fails_is_a_complaint(
    bucket: Bucket,
) -> None:
    world = bucket.world
    answer = (403, "AccessDenied")

    def fail(method: str, path: str, number: int) -> tuple[int, str] | None:
        return answer if method == "HEAD" else None

    with FaultProxy(bucket.server.endpoint_url, fail) as proxy:
        url = f"s3://{bucket.place}?endpoint_url={proxy.endpoint_url}&region=us-east-1"
        world.aiko.run("git", "config", "datakeep.store.main.url", url, cwd=world.keep)
        try:
            found = fsck(bucket, code=0)
            assert (found["stated_by_store"], proxy.faults) == (0, 6)
            answer = (503, "SlowDown")
            (complaint,) = fsck(bucket, code=3)["complaints"]
        finally:
            world.aiko.run("git", "config", "--unset", "datakeep.store.main.url", cwd=world.keep)
    assert "cannot be asked for: the server fails (503)" in complaint["what"]
    assert complaint["next_step"]


def test_objects_in_the_listing_are_the_ones_that_were_sent(bucket: Bucket) -> None:
    """The checksum that is asked for is the one that our own upload sent, not one that the server made up."""
    listing = json.loads(bucket.read(bucket.pointed_to("data.dvc")))
    assert {item["relpath"] for item in listing} >= {"train/orders.csv", "same-a.bin", "same-b.bin"}
    head = bucket.client.head_object(
        Bucket=bucket.name, Key=bucket.pointed_to("inventory.parquet.dvc"), ChecksumMode="ENABLED"
    )
    assert head["ChecksumSHA256"]
