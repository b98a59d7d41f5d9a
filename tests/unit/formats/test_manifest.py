from __future__ import annotations

import datetime as dt
import traceback
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from datakeep.core.errors import InvalidFile, MisspelledField, UnknownFormat
from datakeep.formats import yaml
from datakeep.formats.manifest import CodeAt, Manifest

FILE = Path(__file__).parents[2] / "formats/v1/dataset.yaml"
LEAST = {"format": "datakeep/dataset/1", "name": "orders", "backend": "git"}
TRAINING = {"environment": {"lock": "uv.lock"}, "command": "python train.py"}


def example() -> dict[str, Any]:
    return yaml.load(FILE.read_bytes(), what="dataset.yaml")


def read(**fields: Any) -> Manifest:
    return Manifest.of({**LEAST, **fields}, what="dataset.yaml")


def refused(**fields: Any) -> str:
    with pytest.raises(InvalidFile) as caught:
        read(**fields)
    return caught.value.what


def test_the_example_of_the_design() -> None:
    manifest = Manifest.read(FILE.read_bytes(), what="dataset.yaml")
    assert manifest.name == "pump-bearings"
    assert str(manifest.owner) == "Aiko Tanaka <aiko@corp.example>"
    assert manifest.source.valid_from == dt.date(2018, 4, 1)
    assert manifest.source.extracted_at == dt.datetime.fromisoformat("2026-11-20T03:00:00+09:00")
    assert manifest.source.rows == 1203321
    assert manifest.columns[0].unit == "1/min"
    assert manifest.annotation.classes == ["ok", "worn"]
    assert manifest.splits.patterns == {"train": ["data/train/**"], "test": ["data/test/**"]}
    assert (manifest.splits.group, manifest.splits.time) == ("pump_id", "measured_at")
    assert manifest.caveats[0].since == dt.date(2019, 2, 1)
    assert manifest.privacy.personal == "no"
    assert manifest.privacy.decided_by == "dpo@corp.example"
    assert manifest.reference.argv() == ["python", "train.py", "--data", "{data}", "--out", "{out}"]
    assert manifest.reference.expect["roc_auc"].value == Decimal("0.91")
    assert manifest.reference.baseline == {"roc_auc": Decimal("0.50")}
    manifest.check_strict(what="dataset.yaml")


def test_the_example_is_the_same_after_a_round_trip_through_the_model() -> None:
    manifest = Manifest.read(FILE.read_bytes(), what="dataset.yaml")
    again = Manifest.read(manifest.dump(), what="dataset.yaml")
    assert again == manifest
    assert list(again.to_dict()) == list(yaml.plain(example()))


def test_unknown_fields_are_kept_everywhere() -> None:
    manifest = read(later="new", owner={"name": "A", "email": "a@b.c", "phone": "12"}, **{"x-mine": [1]})
    again = Manifest.read(manifest.dump(), what="dataset.yaml")
    assert again.to_dict()["later"] == "new"
    assert again.to_dict()["owner"]["phone"] == "12"
    assert again.to_dict()["x-mine"] == [1]
    assert {path for path, _ in manifest.unknown_fields()} == {"later", "owner.phone"}


def test_comments_and_unknown_fields_survive_an_edit() -> None:
    text = FILE.read_text(encoding="utf-8") + "later: new      # of a later version\n"
    data = yaml.load(text, what="dataset.yaml")
    data["license"] = "CC0-1.0"
    assert yaml.dump(data) == text.replace("license: internal", "license: CC0-1.0")


def test_a_manifest_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read().name = "other"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Pump Bearings"}, "name: "),
        ({"backend": "svn"}, "backend: input should be 'git' or 'dvc' (it is 'svn')"),
        ({"owner": "Aiko"}, "owner: "),
        ({"owner": {"name": "Aiko", "email": "nowhere"}}, "owner.email: "),
        ({"aliases": "a"}, "aliases: "),
        ({"source": {"kind": "guess"}}, "source.kind: "),
        ({"source": {"kind": "sql", "rows": "many"}}, "source.rows: "),
        ({"source": {"kind": "sql", "rows": -1}}, "source.rows: "),
        ({"source": {"kind": "sql", "valid_from": "2018-13-01"}}, "source.valid_from: "),
        ({"source": {"kind": "sql", "query": "../../etc/passwd"}}, "source.query: is not a path inside"),
        ({"source": {"kind": "sql", "query": "/etc/passwd"}}, "source.query: is not a path inside"),
        ({"columns": [{"name": "a"}, {"type": "int32"}]}, "columns[1].name: field required"),
        ({"caveats": [{"what": ""}]}, "caveats[0].what: "),
        ({"splits": {"train": "data/**"}}, "splits.train: "),
        ({"privacy": {"personal": "maybe"}}, "privacy.personal: "),
        ({"reference": {**TRAINING, "timeout_s": 0}}, "reference.timeout_s: "),
        ({"reference": {**TRAINING, "command": ""}}, "reference.command: is empty"),
        ({"reference": {**TRAINING, "command": "python 'open"}}, "reference.command: "),
        ({"reference": {**TRAINING, "environment": {}}}, "needs exactly one of lock, requirements, image"),
        (
            {"reference": {**TRAINING, "environment": {"image": "python:3.11"}}},
            "reference.environment.image: ",
        ),
        ({"reference": {**TRAINING, "code": {"url": "x", "commit": "main"}}}, "reference.code.commit: "),
        ({"reference": {**TRAINING, "model": {"file": "../m"}}}, "reference.model.file: is not a path"),
        ({"reference": {**TRAINING, "expect": {"a": {"value": float("nan")}}}}, "reference.expect.a.value: "),
        ({"reference": {**TRAINING, "expect": {"a": {"value": 1, "tolerance": -1}}}}, "a.tolerance: "),
        ({"documents": [{"title": "x", "path": ".git/config"}]}, "documents[0].path: is not a path"),
    ],
)
def test_wrong_values_are_named_with_their_place(fields: dict[str, Any], said: str) -> None:
    assert said in refused(**fields)


def test_all_faults_are_listed_at_once() -> None:
    with pytest.raises(InvalidFile, match=r"and 2 more") as caught:
        read(backend="svn", owner={"name": "A", "email": "x"}, aliases=3)
    assert [thing.partition(":")[0] for thing in caught.value.things] == ["aliases", "owner.email", "backend"]


def test_floats_stay_what_was_written() -> None:
    expect = {"a": {"value": 0.1, "tolerance": 0.30000000000000004}, "b": {"value": "0.50"}}
    manifest = read(reference={**TRAINING, "expect": expect})
    assert str(manifest.reference.expect["a"].value) == "0.1"
    assert str(manifest.reference.expect["b"].value) == "0.50"


@pytest.mark.parametrize(
    ("written", "meant"), [(True, "yes"), (False, "no"), ("no", "no"), ("unknown", "unknown")]
)
def test_yes_and_no_are_words_or_yaml_booleans(written: object, meant: str) -> None:
    assert read(privacy={"personal": written}).privacy.personal == meant


def test_a_command_is_a_list_or_split_without_a_shell() -> None:
    assert read(reference={**TRAINING, "command": "a 'b c' $HOME; ls"}).reference.argv() == [
        "a",
        "b c",
        "$HOME;",
        "ls",
    ]
    assert read(reference={**TRAINING, "command": ["a", "b c"]}).reference.argv() == ["a", "b c"]


def test_code_elsewhere_is_pinned() -> None:
    code = {"url": "https://git.corp.example/ml/churn.git", "commit": "a" * 40, "path": "train"}
    assert read(reference={**TRAINING, "code": code}).reference.code == CodeAt(**code)


@pytest.mark.parametrize(
    ("fields", "path", "meant"),
    [
        ({"purposee": "x"}, "purposee", "purpose"),
        ({"licence": "x"}, "licence", "license"),
        ({"owner": {"name": "A", "email": "a@b.c", "e-mail": "x"}}, "owner.e-mail", "email"),
        ({"columns": [{"name": "a", "meening": "x"}]}, "columns[0].meening", "meaning"),
        ({"privacy": {"personnal": "no"}}, "privacy.personnal", "personal"),
        ({"source": {"kind": "sql", "extracted_att": "x"}}, "source.extracted_att", "extracted_at"),
        ({"target": "x"}, "target", "task.target"),  # a right name in the wrong place
        ({"rules": "a.md"}, "rules", "annotation.rules"),
        ({"source": {"kind": "sql", "personal": "no"}}, "source.personal", "privacy.personal"),
    ],
)
def test_a_typo_gets_the_right_name(fields: dict[str, Any], path: str, meant: str) -> None:
    with pytest.raises(MisspelledField) as caught:
        read(**fields).check_strict(what="facts.yaml")
    assert caught.value.what == f"facts.yaml: there is no field {path!r}; did you mean {meant!r}?"


def test_a_typo_in_a_required_field_gets_the_right_name() -> None:
    with pytest.raises(InvalidFile, match=r"\(is 'nmae' meant to be it\?\)"):
        Manifest.of({"format": "datakeep/dataset/1", "nmae": "a", "backend": "git"}, what="dataset.yaml")


def test_all_typos_are_listed_and_own_fields_are_not() -> None:
    with pytest.raises(MisspelledField) as caught:
        read(purposee="x", licence="y", **{"x-own": 1}).check_strict(what="facts.yaml")
    assert len(caught.value.things) == 2


def test_split_names_are_free() -> None:
    manifest = read(splits={"holdout-2026": ["data/h/**"], "group": "id"})
    manifest.check_strict(what="dataset.yaml")
    assert manifest.splits.patterns == {"holdout-2026": ["data/h/**"]}


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "sql", "database": "postgresql://aiko:hunter2@dwh.corp.example/plant"},
        {"kind": "sql", "database": "postgresql://aiko@dwh/plant?password=hunter2"},
        {"kind": "public", "url": "https://h/data.zip?token=hunter2"},
        {"kind": "files", "origin": "smb://aiko:hunter2@nas/share"},
    ],
)
def test_a_password_is_refused_and_never_repeated(source: dict[str, str]) -> None:
    with pytest.raises(InvalidFile) as caught:
        read(source=source)
    error = caught.value
    assert "a password in the URL of" in error.what
    shown = [error.what, *error.things, error.next_step, "".join(traceback.format_exception(error))]
    assert not [text for text in shown if "hunter2" in text]


@pytest.mark.parametrize(
    ("line", "said", "step"),
    [
        ("datakeep/dataset/2", "newer than this datakeep reads", "upgrade"),
        ("datakeep/dataset/99", "newer than this datakeep reads", "upgrade"),
        ("datakeep/keep/1", "'datakeep/dataset/1' is needed", "correct"),
        ("datakeep/dataset/x", "'datakeep/dataset/1' is needed", "correct"),
        ("datakeep/dataset/0", "'datakeep/dataset/1' is needed", "correct"),
        (1, "'datakeep/dataset/1' is needed", "correct"),
        (None, "has no 'format' line", "correct"),
    ],
)
def test_other_formats_are_refused(line: object, said: str, step: str) -> None:
    with pytest.raises(UnknownFormat) as caught:
        read(format=line)
    assert said in caught.value.what
    assert step in caught.value.next_step


def test_the_longest_values_are_shown_shortened() -> None:
    assert len(refused(backend="x" * 5000)) < 200


def test_an_extraction_of_every_release_is_read_and_what_is_unknown_stays_so() -> None:
    text = FILE.with_name("dataset-extracted.yaml").read_bytes()
    manifest = Manifest.read(text, what="a test")
    manifest.check_strict(what="a test")
    assert manifest.source is not None
    run = manifest.source.extraction
    assert run is not None
    assert str(run) == "datakeep, in PostgreSQL 15.18 (repeatable read, read only)"
    assert [str(table) for table in run.tables] == [
        "public.delayed (3 columns)",
        "public.flights (columns unknown, through public.delayed): Departures from New York City",
        "/srv/airlines-*.csv (1 column)",
    ]
    assert run.tables[2].files[1].sha256 is None
    assert manifest.source.parameters_shown() == "until = 2013-02-01, factor = 2 (decimal)"
    plain = yaml.plain(yaml.load(text, what="a test"))["source"]["extraction"]
    again = manifest.to_dict()["source"]["extraction"]
    for name in ("started_at", "snapshot_at", "ended_at"):
        assert dt.datetime.fromisoformat(again.pop(name)) == dt.datetime.fromisoformat(plain.pop(name))
    assert again == plain
