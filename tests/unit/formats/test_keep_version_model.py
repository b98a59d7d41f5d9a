from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from datakeep.core.errors import InvalidFile, UnknownFormat
from datakeep.formats import yaml
from datakeep.formats.keep import REQUIRED, KeepFile
from datakeep.formats.manifest import Manifest
from datakeep.formats.model import ModelInput, ModelRecord
from datakeep.formats.model_words import read_in_words
from datakeep.formats.person import Person
from datakeep.formats.version import VersionEntry

if TYPE_CHECKING:
    from datakeep.formats.base import Document

V1 = Path(__file__).parents[2] / "formats/v1"
KINDS: list[type[Document]] = [KeepFile, Manifest, ModelRecord, Person, VersionEntry]


def example(kind: type[Document]) -> dict[str, Any]:
    return yaml.plain(yaml.load((V1 / f"{kind.kind}.yaml").read_bytes(), what=f"{kind.kind}.yaml"))


def refused(kind: type[Document], **fields: Any) -> str:
    with pytest.raises(InvalidFile) as caught:
        kind.of({**example(kind), **fields}, what=f"{kind.kind}.yaml")
    return caught.value.what


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_the_first_release_are_read(kind: type[Document]) -> None:
    document = kind.read((V1 / f"{kind.kind}.yaml").read_bytes(), what="x")
    document.check_strict(what="x")
    assert kind.read(document.dump(), what="x") == document


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ({"count": 1}, "1 file read"),
        ({"count": 1, "of": 1}, "its 1 file read"),
        ({"count": 2, "of": 2}, "all 2 files read"),
        ({"count": 1, "of": 2}, "1 of 2 files read"),
    ],
)
def test_how_much_was_read_in_words(read: dict[str, int], said: str) -> None:
    given = {"dataset": "o", "version": "v1", "commit": "0" * 40, "content": f"sha256:{'0' * 64}"}
    found = ModelInput.model_validate({**given, "how": "observed", "files_read": read})
    assert read_in_words(found) == said


@pytest.mark.parametrize("name", ["model-run", "model-declared"])
def test_records_of_a_run_and_declared_ones_are_read(name: str) -> None:
    """Every field that the first release writes has a meaning, and none is lost or changed on the way."""
    text = (V1 / f"{name}.yaml").read_bytes()
    record = ModelRecord.read(text, what=name)
    record.check_strict(what=name)
    assert record.to_dict() == yaml.plain(yaml.load(text, what=name))
    assert ModelRecord.read(record.dump(), what=name) == record


def test_a_record_of_a_run_says_what_was_seen() -> None:
    record = ModelRecord.read((V1 / "model-run.yaml").read_bytes(), what="x")
    read, given = record.inputs
    assert read.files_read
    assert (read.files_read.count, read.files_read.of, read.files_read.kept) == (
        12,
        503,
        "read/orders@v3.txt",
    )
    assert (given.how, given.files_read) == ("given", None)
    assert [min(one) for one in record.undeclared] == ["path", "of", "path", "changed"]
    assert record.metrics["loss"] == "1e-05"
    assert record.observed
    assert (record.status, record.exit_code, record.observed.by) == ("failed", 3, "audit-hook")
    busy, silent = record.resources.gpus or []
    assert (busy.peak_memory_bytes, busy.utilisation_percent) == (8 * 2**30, "81.5")
    assert silent.peak_memory_bytes is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_later_version_adds_is_kept(kind: type[Document]) -> None:
    later = {"later": {"a": [1, "日本"]}}
    document = kind.of({**example(kind), **later}, what="x")
    assert kind.read(document.dump(), what="x").to_dict()["later"] == later["later"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_major_is_refused(kind: type[Document]) -> None:
    with pytest.raises(UnknownFormat, match="newer than this datakeep reads"):
        kind.of({**example(kind), "format": f"datakeep/{kind.kind}/2"}, what="x")


@pytest.mark.parametrize("kind", KINDS)
def test_format_comes_first_and_text_is_readable(kind: type[Document]) -> None:
    text = kind.of({"later": "日本", **example(kind)}, what="x").dump()
    assert text.startswith(f"format: datakeep/{kind.kind}/1\n")
    assert "later: 日本\n" in text


def test_the_keep() -> None:
    keep = KeepFile.of(example(KeepFile), what="keep.yaml")
    assert [store.url for store in keep.vault.stores] == ["s3://ml-data/keep", "/mnt/nas/keep"]
    assert keep.vault.create_command == ["gh", "repo", "create", "{name}", "--private"]
    assert keep.policy.renewal == dt.timedelta(days=180)
    assert tuple(keep.policy.require) == REQUIRED


def test_a_keep_has_a_policy_without_saying_so() -> None:
    data = example(KeepFile)
    del data["policy"]
    keep = KeepFile.of(data, what="keep.yaml")
    assert (keep.policy.copies, keep.policy.renew_every, tuple(keep.policy.require)) == (2, "180d", REQUIRED)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "My Keep"}, "name: "),
        ({"vault": {"git": "/g", "stores": []}}, "vault.stores: "),
        ({"vault": {"git": "", "stores": [{"name": "a", "url": "/s"}]}}, "vault.git: "),
        ({"vault": {"git": "/g", "stores": [{"name": "A b", "url": "/s"}]}}, "vault.stores[0].name: "),
        ({"policy": {"copies": 0}}, "policy.copies: "),
        ({"policy": {"renew_every": "6 months"}}, "policy.renew_every: "),
        ({"policy": {"renew_every": "0d"}}, "policy.renew_every: "),
    ],
)
def test_wrong_keeps(fields: dict[str, Any], said: str) -> None:
    assert said in refused(KeepFile, **fields)


@pytest.mark.parametrize(
    "vault",
    [
        {"git": "https://aiko:hunter2@git/ml", "stores": [{"name": "a", "url": "/s"}]},
        {"git": "/g", "stores": [{"name": "a", "url": "s3://key:hunter2@b/p"}]},
    ],
)
def test_a_password_in_the_vault_is_refused_and_not_repeated(vault: dict[str, Any]) -> None:
    said = refused(KeepFile, vault=vault)
    assert "a password in the URL of" in said
    assert "hunter2" not in said


def test_a_person() -> None:
    person = Person.of(example(Person), what="aiko.yaml")
    assert person.keys[0].added == dt.date(2026, 1, 5)
    assert person.keys[0].revoked is None
    assert person.departed is None
    assert "email: " in refused(Person, email="not an address")
    assert "departed: " in refused(Person, departed="soon")


def test_a_version_entry() -> None:
    entry = VersionEntry.of(example(VersionEntry), what="v3.yaml")
    assert entry.registered_at == dt.datetime(2026, 11, 20, 3, 10, tzinfo=dt.UTC)
    assert entry.manifest_model().title == "受注の記録"
    assert entry.manifest["x-ticket"] == "WH-1207"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"version": "3"}, "version: "),
        ({"version": "v0"}, "version: "),
        ({"dataset": "../orders"}, "dataset: "),
        ({"commit": "4f1c"}, "commit: "),
        ({"commit": "--upload-pack=touch x"}, "commit: "),
        ({"content": "9ab2"}, "content: "),
        ({"content": "sha256:" + "A" * 64}, "content: "),
        ({"inventory": "md5:" + "0" * 32}, "inventory: "),
        ({"files": -1}, "files: "),
        ({"size_bytes": "big"}, "size_bytes: "),
        ({"registered_at": "yesterday"}, "registered_at: "),
        ({"manifest": []}, "manifest: "),
    ],
)
def test_wrong_entries(fields: dict[str, Any], said: str) -> None:
    assert said in refused(VersionEntry, **fields)


def test_a_wrong_manifest_in_an_entry_is_named() -> None:
    entry = VersionEntry.of(
        {**example(VersionEntry), "manifest": {"format": "datakeep/dataset/1"}}, what="v3.yaml"
    )
    with pytest.raises(InvalidFile, match="the manifest of orders@v3: name: field required"):
        entry.manifest_model()


def test_a_model_record() -> None:
    record = ModelRecord.of(example(ModelRecord), what="v7.yaml")
    assert record.inputs[0].files_read.splits == {"train": 10, "test": 2}
    assert record.metrics == {"accuracy": "0.953"}
    assert record.environment.python == "3.11.9"
    assert record.unknown == ["seed"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"artifacts": [{"path": "m", "sha256": "x", "size_bytes": 1}]}, "artifacts[0].sha256: "),
        ({"origin": "hearsay"}, "origin: "),
        ({"metrics": {"accuracy": [1]}}, "metrics.accuracy: "),
        ({"model": "Churn"}, "model: "),
        ({"command": "python train.py"}, "command: "),
    ],
)
def test_wrong_records(fields: dict[str, Any], said: str) -> None:
    assert said in refused(ModelRecord, **fields)
