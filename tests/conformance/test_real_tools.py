"""Other people's programs judge what datakeep publishes: git, dvc, the shell, securesystemslib, in-toto.

Everything is looked at in a fresh clone from the vault, by someone who has none of the author's settings.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from ruamel.yaml import YAML
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

if TYPE_CHECKING:
    from pathlib import Path

    from world import World

BACKENDS = ("git", "dvc")
#: Names that the listing of sha256sum escapes, or that a careless pipeline splits.
ODD = {
    "a b.csv": b"1,2\n",
    "quote\"d 'name'.txt": b"q\r\n",
    "-dash": b"",
    "日本/データ.bin": b"\0\r\n" * 1000,
}
#: As the design states it, word for word: what anyone can recompute.
CONTENT_ID = (
    "cd data && find -L . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 -r sha256sum -- | sha256sum"
)


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def clones(world: World) -> dict[str, Path]:
    """A fresh clone, made by Ken, of a dataset of each backend; for dvc, with its bytes pulled."""
    for path, data in ODD.items():
        (world.orders / path).parent.mkdir(exist_ok=True)
        (world.orders / path).write_bytes(data)
    world.ken.extra["DVC_SITE_CACHE_DIR"] = str(world.ken.caches / "dvc-site")
    made = {}
    for backend in BACKENDS:
        world.register(f"by-{backend}", backend)
        made[backend] = world.ken.cwd / f"by-{backend}"
        world.ken.run(
            "git", "clone", "-q", world.vault / "git" / "datasets" / f"by-{backend}.git", made[backend]
        )
    world.ken.run("dvc", "pull", "-q", cwd=made["dvc"])
    return made


def entry(world: World, name: str) -> dict:
    return YAML(typ="safe").load((world.keep / "register" / name / "v1.yaml").read_text("utf-8"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_git_is_content_with_a_fresh_clone(world: World, clones: dict[str, Path], backend: str) -> None:
    clone = clones[backend]
    assert world.ken.run("git", "status", "--porcelain", "--untracked-files=all", cwd=clone).out == ""
    fsck = world.ken.run("git", "fsck", "--full", "--strict", "--no-dangling", cwd=clone)
    assert (fsck.out, fsck.err) == ("", "")
    assert world.ken.run("git", "describe", "--tags", cwd=clone).out.strip() == "v1"
    commit = world.ken.run("git", "rev-parse", "v1^{commit}", cwd=clone).out.strip()
    assert commit == entry(world, f"by-{backend}")["commit"]


@pytest.mark.parametrize("repository", ["keeps/keep", "datasets/by-git", "datasets/by-dvc"])
def test_git_is_content_with_the_vault(world: World, clones: dict[str, Path], repository: str) -> None:
    fsck = world.ken.run(
        "git", "--git-dir", world.vault / "git" / f"{repository}.git", "fsck", "--full", "--strict"
    )
    assert (fsck.out, fsck.err) == ("", "")


def test_dvc_finds_nothing_to_do(world: World, clones: dict[str, Path]) -> None:
    status = world.ken.run("dvc", "status", cwd=clones["dvc"])
    assert "Data and pipelines are up to date." in status.out + status.err
    assert json.loads(world.ken.run("dvc", "status", "--cloud", "--json", cwd=clones["dvc"]).out) == {}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_bytes_are_the_sources(world: World, clones: dict[str, Path], backend: str) -> None:
    assert ODD.items() <= files_in(world.orders).items()
    assert files_in(clones[backend] / "data") == files_in(world.orders)


@pytest.mark.parametrize("backend", BACKENDS)
def test_anyone_can_recompute_the_content_id(world: World, clones: dict[str, Path], backend: str) -> None:
    printed = world.ken.run("sh", "-c", CONTENT_ID, cwd=clones[backend]).out.split()[0]
    registered = entry(world, f"by-{backend}")
    assert f"sha256:{printed}" == registered["content"]
    inventory = (clones[backend] / "inventory.parquet").read_bytes()
    assert f"sha256:{hashlib.sha256(inventory).hexdigest()}" == registered["inventory"]


def test_the_proof_stands_without_datakeep(world: World, clones: dict[str, Path]) -> None:
    world.reference("by-git")
    proof = world.aiko.datakeep("verify", "by-git", "--json", cwd=world.keep).data["proof"]
    fresh = world.ken.cwd / "keep"
    world.ken.run("git", "clone", "-q", world.vault / "git" / "keeps" / "keep.git", fresh)
    data = json.loads((fresh / proof).read_text("utf-8"))
    person = YAML(typ="safe").load((fresh / "people" / "aiko.yaml").read_text("utf-8"))
    key = SSlibKey.from_crypto(load_ssh_public_key(person["keys"][0]["key"].encode()))
    envelope = Envelope.from_dict(data)
    assert list(envelope.verify([key], 1)) == [key.keyid]

    payload = base64.b64decode(data["payload"])
    message = json_format.Parse(payload, statement_pb2.Statement())  # strict: an unknown field would raise
    statement = Statement.copy_from_pb(message)
    statement.validate()
    registered = YAML(typ="safe").load((fresh / "register" / "by-git" / "v2.yaml").read_text("utf-8"))
    assert [(subject.name, dict(subject.digest)) for subject in statement.pb.subject] == [
        ("by-git@v2", {"gitCommit": registered["commit"]}),
        ("by-git@v2/inventory.parquet", {"sha256": registered["inventory"].removeprefix("sha256:")}),
    ]
    assert statement.pb.predicate["result"] == "passed"

    envelope.payload = payload.replace(b'"passed"', b'"failed"', 1)
    with pytest.raises(VerificationError):
        envelope.verify([key], 1)
