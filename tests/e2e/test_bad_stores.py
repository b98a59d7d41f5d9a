"""Whatever is wrong with a bucket or the rights to it: one clear error of the command line, and nothing lost.

A real server refuses what it can be made to refuse; a proxy in front of it says the rest in S3's own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from fault_proxy import FaultProxy
from object_server import IDENTITIES, ObjectServer
from seen import Quick, error_of, json_error_of, state
from world import FACTS, Ran

from datakeep.core.errors import families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from world import World

CODES = {kind.id(): kind.exit_code for family in families() for kind in (family, *family.__subclasses__())}


@dataclass(frozen=True)
class Case:
    """What is wrong, and what must be said of it.

    Args:
        id: The test's name.
        error: The stable id in ``--json``.
        said: What stands in the error.
        who: Whose credentials are used; a profile of theirs.
        url: Where the store is said to be; ``{place}`` and ``{server}`` are the right ones.
        answer: What a proxy answers to every request.
    """

    id: str
    error: str
    said: tuple[str, ...]
    who: str = "admin"
    url: str = "s3://{place}?endpoint_url={server}"
    answer: tuple[int, str] | None = None


CASES = [
    Case("only reads", "access-denied", ("no right to write", "administrator"), who="reader"),
    Case("may not list", "access-denied", ("no right to list", "administrator"), who="blind"),
    Case("no right at all", "access-denied", ("no right to read", "administrator"), who="stranger"),
    Case("wrong secret", "access-denied", ("the secret does not belong to the key id",), who="mistyped"),
    Case("unknown key", "access-denied", ("does not know the key id", "AWS_PROFILE"), who="unknown"),
    Case("no such profile", "access-denied", ("no-such-profile", "~/.aws/config"), who="no-such-profile"),
    Case(
        "no bucket", "store-missing", ("there is no bucket 'gone-bucket'", "keep.yaml"),
        url="s3://gone-bucket/keep?endpoint_url={server}",
    ),
    Case(
        "other prefix", "store-unmarked", ("is not a store", "keep.yaml"), url="s3://{place}-typo?endpoint_url={server}"
    ),
    Case(
        "down", "store-unreachable", ("nothing answers at 127.0.0.1:9",), url="s3://{place}?endpoint_url=http://127.0.0.1:9"
    ),
    Case(
        "no such host", "network-missing", ("the name store.invalid cannot be resolved", "endpoint_url"),
        url="s3://{place}?endpoint_url=http://store.invalid",
    ),
    Case("scheme", "unsupported", ("knows s4 stores", "s3://"), url="s4://{place}"),
    Case("no bucket in it", "usage-error", ("names no bucket", "s3://BUCKET/PREFIX"), url="s3:/{place}"),
    Case("endpoint", "usage-error", ("'minio' is not the address",), url="s3://{place}?endpoint_url=minio"),
    Case("parameter", "usage-error", ("unknown parameter 'regoin'",), url="s3://{place}?regoin=eu-1"),
    Case(
        "another region", "store-unreachable",
        ("lies in the region eu-central-1", "region: eu-central-1"), answer=(400, "AuthorizationHeaderMalformed"),
    ),
    Case(
        "clock", "access-denied", ("the clock of this machine", "timedatectl"), answer=(403, "RequestTimeTooSkewed")
    ),
    Case("expired", "access-denied", ("the credentials have expired",), answer=(400, "ExpiredToken")),
    Case("full", "no-space", ("is full", "quota"), answer=(507, "InsufficientStorage")),
]  # fmt: skip


@pytest.fixture(scope="module")
def place(s3_server: ObjectServer) -> str:
    return s3_server.place()


@pytest.fixture(scope="module")
def kept(
    new_world: Callable[..., World],
    s3_server: ObjectServer,
    place: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> World:
    """A keep whose bytes lie in a bucket, with ``orders@v1``; a profile for each kind of person."""
    text = ""
    people = {name: (key, secret) for name, (key, secret, _) in IDENTITIES.items()}
    people |= {"mistyped": (IDENTITIES["admin"][0], "hunter2"), "unknown": ("nobody-key", "hunter2")}
    for name, (key, secret) in people.items():
        text += f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    file = tmp_path_factory.mktemp("aws") / "credentials"
    file.write_text(text)
    environment = {
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
        "AWS_PROFILE": "admin",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    url = f"s3://{place}?endpoint_url={s3_server.endpoint_url}&region=us-east-1"
    world = new_world("--vault-data", url, environment=environment)
    world.register("orders")
    return world


@pytest.fixture(scope="module")
def quick(kept: World) -> Iterator[Quick]:
    calls = Quick(kept.aiko, Ran)
    yield calls
    calls.close()


def objects(server: ObjectServer, place: str) -> dict[str, str]:
    bucket, _, prefix = place.partition("/")
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return {one["Key"]: one["ETag"] for page in pages for one in page["Contents"]}


@pytest.fixture(params=CASES, ids=lambda case: case.id)
def wrong(request: pytest.FixtureRequest, kept: World, s3_server: ObjectServer, place: str) -> Iterator[Case]:
    """One thing is wrong, on this clone of the keep alone."""
    case: Case = request.param
    with FaultProxy(s3_server.endpoint_url, lambda *_: case.answer) as proxy:
        server = proxy.endpoint_url if case.answer else s3_server.endpoint_url
        settings = {"url": case.url.format(place=place, server=server), "profile": case.who}
        for name, value in settings.items():
            kept.aiko.run("git", "config", f"datakeep.store.main.{name}", value, cwd=kept.keep)
        yield case
        for name in settings:
            kept.aiko.run("git", "config", "--unset", f"datakeep.store.main.{name}", cwd=kept.keep)


def test_one_clear_error_and_nothing_lost(
    kept: World, quick: Quick, s3_server: ObjectServer, place: str, wrong: Case
) -> None:
    before: tuple[dict[str, Any], dict[str, str]] = (state(kept), objects(s3_server, place))
    argv = ("register", "new", kept.orders, "--backend", "dvc", *FACTS)
    human = quick.datakeep(*argv, cwd=kept.keep, code=None)
    machine = quick.datakeep(*argv, "--json", cwd=kept.keep, code=None)
    error, said = json_error_of(machine), error_of(human)
    assert (error["id"], human.code, machine.code) == (wrong.error, CODES[wrong.error], CODES[wrong.error])
    for text in wrong.said:
        assert text in said.text
    secrets = {secret for _, secret, _ in IDENTITIES.values()} | {"hunter2"}
    assert not any(secret in human.err + machine.out for secret in secrets)
    assert (state(kept), objects(s3_server, place)) == before


def test_who_may_only_read_can_check_and_fetch(kept: World, quick: Quick, tmp_path: Path) -> None:
    kept.aiko.run("git", "config", "datakeep.store.main.profile", "reader", cwd=kept.keep)
    try:
        found = quick.datakeep("fsck", "--deep", "--json", cwd=kept.keep, code=3).data  # one copy of two
        quick.datakeep("checkout", "orders", tmp_path / "out", cwd=kept.keep)
    finally:
        kept.aiko.run("git", "config", "--unset", "datakeep.store.main.profile", cwd=kept.keep)
    assert (found["complaints"], found["versions"][0]["whole"]) == ([], found["versions"][0]["objects"])
    assert (tmp_path / "out" / "data" / "same-a.bin").read_bytes() == b"\x00\xff" * 64


def test_a_new_store_that_cannot_be_is_refused_before_anything_is_written(
    kept: World, quick: Quick, s3_server: ObjectServer, place: str
) -> None:
    before = (state(kept), objects(s3_server, place))
    server = f"endpoint_url={s3_server.endpoint_url}"
    for url, kind, said in (
        (f"s3://gone-bucket/keep?{server}", "store-missing", "there is no bucket"),
        (f"s3://{place}?{server}", "already-exists", ""),
        (f"s3://{place}/inside?{server}", "usage-error", ""),
        (f"s3//{place}", "usage-error", ""),
    ):
        ran = quick.datakeep("vault", "add", "second", url, "--json", cwd=kept.keep, code=None)
        assert said in json_error_of(ran)["what"], ran.out
        assert json_error_of(ran)["id"] == kind, ran.out
        assert (state(kept), objects(s3_server, place)) == before
