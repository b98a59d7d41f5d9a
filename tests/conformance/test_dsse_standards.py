"""Other people's libraries judge our proofs: securesystemslib the envelope, in_toto_attestation the payload.

Nothing of datakeep is used to verify here: who has a proof and a public key needs no datakeep.
"""

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement as InTotoStatement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from datakeep import attest
from datakeep.formats import proof

MADE = datetime(2026, 11, 22, 9, 12, 3, tzinfo=UTC)
LARGE = 9007199254740993  # 2**53 + 1: no double holds it


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A proof with every part filled, and the public line of the key that signed it."""
    path = tmp_path_factory.mktemp("key") / "key"
    line = attest.create(path, None)
    numbers = {"size_bytes": LARGE, "rehashed_bytes": LARGE, "missing": 0, "mismatched": 0, "stray": 0}
    verification = proof.Verification(
        result="passed",
        stages=[
            proof.Stage(name=name, result="passed", started=MADE, seconds="0.25") for name in proof.STAGES
        ],
        started=MADE,
        finished=MADE,
        person=proof.Prover(handle="ken", name="佐藤 健", email="ken@corp.example", is_owner=False),
        self_check=False,
        verifier=proof.Verifier(
            datakeep="0.1.0",
            python="3.11.9",
            git="2.39.5",
            dvc="3.67.1",
            uv="0.11.0",
            platform="linux-x86_64",
        ),
        entry=proof.EntryProven(path="register/orders/v3.yaml", keep_commit="ab" * 20),
        fetch=proof.Fetched(stores={"main": 503}, objects=503, **numbers),
        criteria=proof.Criteria(
            commit="4f" * 20,
            expect={"accuracy": proof.Criterion(value="0.91", tolerance="0.01")},
            baseline={"accuracy": "0.50"},
        ),
        metrics={"accuracy": "0.910"},
        environment=proof.Environment(
            kind="uv", lock_sha256="0" * 64, python="3.11.9", versions={"numpy": "2.0.0"}
        ),
        packages=proof.Packages(installed=4, from_cache=3, fresh=False),
        training=proof.Training(wall_s="2.5", cpu_s="2.1", peak_rss_bytes=LARGE, exit_code=0),
        sandbox=proof.SandboxUsed(kind="bubblewrap", version="0.11.0"),
        network=proof.Network(access=True, environment=True, training=False),
        let_in=["ssh agent"],
        model=proof.ModelMade(path="model.joblib", sha256="1" * 64, size_bytes=12),
        expires=MADE,
    )
    statement = proof.Statement.build("orders", "v3", "4f" * 20, "77" * 32, verification)
    return attest.sign(statement.to_bytes(), attest.load(path, None)), line


def test_securesystemslib_alone_verifies_the_envelope(signed):
    data, line = signed
    key = SSlibKey.from_crypto(load_ssh_public_key(line.encode()))
    envelope = Envelope.from_dict(json.loads(data))
    assert list(envelope.verify([key], 1)) == [key.keyid]
    envelope.payload = envelope.payload.replace(b"0.910", b"0.990")
    with pytest.raises(VerificationError):
        envelope.verify([key], 1)


def test_the_signature_is_plain_ed25519_over_the_dsse_text(signed):
    """By the DSSE specification itself, without any DSSE library."""
    data, line = signed
    fields = json.loads(data)
    payload = base64.b64decode(fields["payload"])
    kind = fields["payloadType"].encode()
    text = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    key = load_ssh_public_key(line.encode())
    key.verify(base64.b64decode(fields["signatures"][0]["sig"]), text)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(fields["signatures"][0]["sig"]), text + b" ")


def test_in_toto_attestation_accepts_the_payload_and_loses_nothing(signed):
    payload = base64.b64decode(json.loads(signed[0])["payload"])
    message = json_format.Parse(payload, statement_pb2.Statement())  # strict: an unknown field would raise
    statement = InTotoStatement.copy_from_pb(message)
    statement.validate()
    assert statement.pb.predicate_type.endswith("/verification/1")
    assert [(subject.name, dict(subject.digest)) for subject in statement.pb.subject] == [
        ("orders@v3", {"gitCommit": "4f" * 20}),
        ("orders@v3/inventory.parquet", {"sha256": "77" * 32}),
    ]
    assert json.loads(json_format.MessageToJson(statement.pb)) == json.loads(payload)
    assert statement.pb.predicate["training"]["peak_rss_bytes"] == str(LARGE)


def test_every_part_of_the_predicate_is_in_the_sample(signed):
    payload = json.loads(base64.b64decode(json.loads(signed[0])["payload"]))
    unset = [name for name, value in payload["predicate"].items() if value is None]
    assert unset == ["at_fault"]
