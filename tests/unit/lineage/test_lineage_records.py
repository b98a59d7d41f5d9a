"""Model records are found by digest, name and dataset; one that is broken never hides another."""

from __future__ import annotations

import pytest

from datakeep.formats.model import ModelRecord
from datakeep.lineage import records

FIRST, SECOND = "ab" * 32, "cd" * 32


def text(model: str = "churn", version: str = "v1", sha256: str = FIRST, dataset: str = "orders") -> bytes:
    given = {
        "dataset": dataset,
        "version": "v3",
        "commit": "4f" * 20,
        "content": f"sha256:{'77' * 32}",
        "how": "observed",
    }
    fields = {
        "format": "datakeep/model/1",
        "model": model,
        "version": version,
        "artifacts": [{"path": "model.joblib", "sha256": sha256, "size_bytes": 3}],
        "inputs": [given],
        "code": {},
        "command": ["python", "train.py"],
        "environment": {"kind": "uv"},
        "resources": {},
        "origin": "verification",
    }
    return ModelRecord.of(fields, what="a record").dump().encode()


class Files:
    """A keep's files in memory, that counts what is read."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def list(self, prefix: str = "") -> list[str]:
        return [path for path in self.files if path.startswith(prefix)]

    def read_many(self, paths):
        return {path: self.files[path] for path in paths if path in self.files}


def path(model: str, version: str) -> str:
    return records.record_path(model, version)


def test_a_digest_finds_its_records_and_no_other():
    files = Files({path("churn", "v1"): text(), path("churn", "v2"): text(version="v2", sha256=SECOND)})
    assert [record.version for record in records.find_by_digest(files, FIRST).records] == ["v1"]
    assert [record.version for record in records.find_by_digest(files, f"sha256:{SECOND}").records] == ["v2"]
    assert records.find_by_digest(files, "00" * 32) == records.Found()


def test_a_digest_that_only_stands_elsewhere_in_a_record_is_no_answer():
    files = Files({path("churn", "v1"): text() + f"x-seen: {SECOND}\n".encode()})
    assert records.find_by_digest(files, SECOND).records == ()


def test_only_what_can_be_an_answer_is_parsed(monkeypatch):
    parsed = []
    real = records._record
    monkeypatch.setattr(records, "_record", lambda data, path: parsed.append(path) or real(data, path))
    files = {path("other", f"v{n}"): text("other", f"v{n}", SECOND) for n in range(1, 30)}
    records.find_by_digest(Files({**files, path("churn", "v1"): text()}), FIRST)
    assert parsed == [path("churn", "v1")]


def test_the_newest_version_is_meant_by_number_not_by_text():
    files = Files({path("churn", f"v{n}"): text(version=f"v{n}") for n in (2, 9, 10)})
    assert records.find_by_model(files, "churn").records[0].version == "v10"
    assert records.find_by_model(files, "churn", "v2").records[0].version == "v2"
    assert [record.version for record in records.all_records(files, "churn").records] == ["v10", "v9", "v2"]
    assert records.find_by_model(files, "churn", "v3") == records.Found()
    assert records.find_by_model(files, "absent") == records.Found()


@pytest.mark.parametrize(
    "broken",
    [
        FIRST.encode() + b": [",
        text().replace(b"command:", b"comand:"),
        text(version="v7"),
        text().replace(b"model/1", b"model/2"),
        b"\xff" + text(),
        text()[: text().index(b"command:") + 5],  # half written
    ],
)
def test_a_broken_record_is_reported_and_the_others_answer(broken):
    files = Files({path("bad", "v1"): broken, path("churn", "v1"): text()})
    found = records.find_by_digest(files, FIRST)
    assert [record.model for record in found.records] == ["churn"]
    assert [one.path for one in found.broken] == [path("bad", "v1")]
    assert found.broken[0].reason


def test_other_files_below_models_are_not_records():
    files = Files(
        {"models/README.md": b"", "models/churn/v1.yaml.orig": text(), "models/churn/x/v1.yaml": text()}
    )
    assert records.names(files) == {}
    assert records.all_records(files) == records.Found()
