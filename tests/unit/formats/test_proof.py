"""Proofs: exact numbers, no contradictions, no secrets, and errors for what cannot be read."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datakeep.core.errors import InvalidFile, UnknownFormat
from datakeep.formats import proof
from datakeep.formats.proof import Criteria, Criterion, Fetched, Stage, Statement, Training, Verification

COMMIT = "4f" * 20
INVENTORY = "77" * 32
MADE = datetime(2026, 11, 22, 9, 12, 3, tzinfo=UTC)


def verification(**changes):
    stages = [Stage(name=name, result="passed", started=MADE, seconds="0.250") for name in proof.STAGES]
    fields = {
        "result": "passed",
        "stages": stages,
        "started": MADE - timedelta(seconds=90),
        "finished": MADE,
        "person": proof.Prover(handle="ken", name="佐藤 健", email="ken@corp.example", is_owner=False),
        "self_check": False,
        "verifier": proof.Verifier(datakeep="0.1.0", python="3.11.9", git="2.39.5", platform="linux-x86_64"),
        "entry": proof.EntryProven(path="register/orders/v3.yaml", keep_commit="ab" * 20),
    }
    return Verification(**(fields | changes))


def statement(**changes):
    return Statement.build("orders", "v3", COMMIT, f"sha256:{INVENTORY}", verification(**changes))


def read(data):
    return Statement.from_bytes(json.dumps(data).encode(), what="x.dsse.json")


def test_what_is_written_is_what_is_read():
    made = statement(metrics={"accuracy": Decimal("0.910")}, training=Training(wall_s="12.5", exit_code=-9))
    again = Statement.from_bytes(made.to_bytes(), what="the proof")
    assert again == made
    assert again.to_bytes() == made.to_bytes()
    assert (again.dataset, again.version, again.commit, again.inventory_sha256) == (
        "orders",
        "v3",
        COMMIT,
        INVENTORY,
    )
    assert str(again.predicate.metrics["accuracy"]) == "0.910"
    assert again.predicate.training.exit_code == -9


@settings(max_examples=60, deadline=None)
@given(
    metrics=st.dictionaries(
        st.text(max_size=8), st.decimals(allow_nan=False, allow_infinity=False), max_size=4
    ),
    objects=st.integers(0, 10**19),
    evidence=st.lists(st.text(max_size=30), max_size=4),
)
def test_no_number_is_ever_a_json_number_and_each_keeps_its_text(metrics, objects, evidence):
    fetched = Fetched(
        stores={"main": objects},
        objects=objects,
        size_bytes=1,
        rehashed_bytes=1,
        missing=0,
        mismatched=0,
        stray=0,
    )
    stages = [Stage(name="access", result="passed", evidence=evidence)]
    payload = statement(metrics=metrics, fetch=fetched, stages=stages).to_bytes()

    def walk(value):
        assert not isinstance(value, int | float) or isinstance(value, bool), value
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(child)

    walk(json.loads(payload))
    again = Statement.from_bytes(payload, what="the proof").predicate
    assert {name: str(value) for name, value in again.metrics.items()} == {
        name: str(value) for name, value in metrics.items()
    }
    assert again.fetch.objects == objects


@pytest.mark.parametrize("number", [0.91, True, "NaN", "Infinity", Decimal("NaN"), "1_0", "٣", "0x1f", ""])
def test_what_is_no_exact_number_is_refused(number):
    with pytest.raises(ValidationError, match="decimal"):
        Criterion(value=number, tolerance="0.01")


@pytest.mark.parametrize("count", [-1, True, "1.5", "-3", "many"])
def test_what_is_no_count_is_refused(count):
    with pytest.raises(ValidationError, match="count"):
        proof.Packages(installed=count, from_cache=0, fresh=False)


@pytest.mark.parametrize("bare", ["1", "0.5", "NaN", "Infinity", "1e5"])
def test_a_payload_with_a_bare_number_is_refused(bare):
    text = statement().to_bytes().decode().replace('"self_check":false', f'"self_check":false,"later":{bare}')
    with pytest.raises(InvalidFile, match="bare number"):
        Statement.from_bytes(text.encode(), what="the proof")


def test_a_name_given_twice_is_refused():
    text = (
        statement().to_bytes().decode().replace('"result":"passed"', '"result":"failed","result":"passed"', 1)
    )
    with pytest.raises(InvalidFile, match="twice"):
        Statement.from_bytes(text.encode(), what="the proof")


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"[" * 200_000])
def test_what_is_no_json_is_refused(payload):
    with pytest.raises(InvalidFile, match="not a statement"):
        Statement.from_bytes(payload, what="the proof")


def test_fields_of_later_versions_are_kept():
    data = json.loads(statement().to_bytes())
    data["predicate"]["carbon_g"] = "12"
    data["predicate"]["stages"][0]["retries"] = "3"
    again = json.loads(read(data).to_bytes())
    assert again == data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"predicateType": "urn:datakeep:predicate/verification/2"}, "newer"),
        ({"predicateType": "https://slsa.dev/provenance/v1"}, "another kind"),
        ({"predicateType": None}, "another kind"),
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "no in-toto Statement v1"),
    ],
)
def test_statements_of_other_kinds_are_told_apart(change, said):
    with pytest.raises(UnknownFormat, match=said) as caught:
        read(json.loads(statement().to_bytes()) | change)
    assert caught.value.next_step


def test_another_version_s_inventory_is_refused():
    data = json.loads(statement().to_bytes())
    data["subject"][1]["name"] = "orders@v2/inventory.parquet"
    with pytest.raises(InvalidFile, match="subjects"):
        read(data)


FAILED = [Stage(name="access", result="passed"), Stage(name="bytes", result="failed", acts="giver")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stages": FAILED}, "'passed'"),
        ({"stages": [Stage(name="access", result="not run")]}, "'passed'"),
        ({"result": "failed", "at_fault": "bytes"}, "did not fail"),
        ({"result": "failed", "stages": FAILED}, "did not fail"),
        ({"person": proof.Prover(handle="a", name="A", email="a@b", is_owner=True)}, "self-check"),
        ({"finished": MADE - timedelta(days=1)}, "before it started"),
    ],
)
def test_a_proof_cannot_contradict_itself(changes, said):
    with pytest.raises(ValidationError, match=said):
        verification(**changes)


def test_a_failed_verification_is_a_proof_too():
    failed = statement(result="failed", at_fault="bytes", stages=FAILED)
    assert Statement.from_bytes(failed.to_bytes(), what="x").predicate.stages[1].acts == "giver"


def test_no_secret_reaches_the_payload():
    stages = [
        Stage(
            name="environment",
            result="failed",
            evidence=[
                "GET https://ken:hunter2@pypi.corp.example/simple failed",
                "token ghp_" + "a1" * 20,
                "x" * 970 + " https://ken:hunter2" + "2" * 50 + "@pypi.corp.example/",
            ],
            next_step="curl https://ken:hunter2@pypi.corp.example/",
        )
    ]
    environment = proof.Environment(kind="uv", transport={"UV_INDEX_URL": "https://u:hunter2@h.example/"})
    made = statement(result="failed", at_fault="environment", stages=stages, environment=environment)
    text = made.to_bytes().decode()
    assert "hunter2" not in text
    assert "ghp_" not in text
    assert "https://ken@pypi.corp.example/simple failed" in text
    assert "left out: a private key or access token" in text


def test_a_training_cannot_flood_the_proof():
    stage = Stage(name="training", result="failed", evidence=["é" * 10_000] * 100_000)
    assert len(stage.evidence) == proof_lines()
    assert max(map(len, stage.evidence)) == 1000
    assert stage.evidence[-1] == f"… and {100_000 - proof_lines() + 1} more"


def proof_lines():
    from datakeep.formats.exact import MAX_EVIDENCE_LINES

    return MAX_EVIDENCE_LINES


def test_bytes_that_are_no_text_are_shown_not_lost():
    stages = [Stage(name="bytes", result="passed", evidence=["caf\udce9.png"])]
    assert "caf\\\\udce9.png" in statement(stages=stages).to_bytes().decode()


def test_moments_are_utc_to_the_second():
    tokyo = datetime(2026, 11, 22, 18, 12, 3, 999, tzinfo=timezone(timedelta(hours=9)))
    made = statement(finished=tokyo)
    assert json.loads(made.to_bytes())["predicate"]["finished"] == "2026-11-22T09:12:03Z"
    assert proof.proof_path(made) == "proofs/orders/v3/2026-11-22T091203Z-ken.dsse.json"
    with pytest.raises(ValidationError, match="timezone"):
        verification(finished=datetime(2026, 11, 22, 9, 12, 3))  # noqa: DTZ001 - the fault under test


def test_the_json_schema_describes_what_is_written():
    criteria = Criteria(commit=COMMIT, expect={"accuracy": Criterion(value="0.91", tolerance="0.01")})
    payload = json.loads(statement(criteria=criteria, metrics={"accuracy": "0.953"}).to_bytes())
    for mode in ("validation", "serialization"):
        schema = Statement.model_json_schema(mode=mode)
        jsonschema.validate(payload, schema)
        broken = json.loads(json.dumps(payload))
        broken["predicate"]["metrics"]["accuracy"] = 0.953
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_a_digest_of_another_length_is_refused():
    with pytest.raises(ValidationError):
        proof.ModelMade(path="model.joblib", sha256="abc", size_bytes=1)
    assert proof.ModelMade(path="m", sha256="sha256:" + "0" * 64, size_bytes=1).sha256 == "0" * 64


def test_durations_are_decimal():
    assert proof.seconds(0.1 + 0.2) == Decimal("0.300")
    assert proof.seconds(timedelta(minutes=1)) == Decimal("60.000")
