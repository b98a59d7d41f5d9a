"""Envelopes: whatever byte is changed, the verdict is not 'valid'."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope

from datakeep import attest
from datakeep.attest.envelope import MAX_ENVELOPE_BYTES
from datakeep.formats.proof import PAYLOAD_TYPE


@pytest.fixture(scope="module")
def signed(signers, make_statement):
    return attest.sign(make_statement().to_bytes(), signers.ken)


@pytest.fixture(scope="module")
def keys(signers):
    return {
        "ken": [signers.ken2.public_line, signers.ken.public_line + " ken@laptop"],
        "aiko": [signers.aiko.public_line],
    }


def changed(envelope, **fields):
    return json.dumps(json.loads(envelope) | fields).encode()


def with_signature(envelope, **fields):
    data = json.loads(envelope)
    data["signatures"][0] |= fields
    return json.dumps(data).encode()


def test_a_signed_statement_is_valid_and_names_its_signer(signed, keys, signers, make_statement):
    opened = attest.open_envelope(signed, keys)
    assert (opened.verdict, opened.signed_by, opened.detail) == ("valid", ("ken",), "")
    assert opened.key_ids == (signers.ken.key_id,)
    assert opened.statement == make_statement()


@pytest.mark.parametrize("mask", [0x01, 0x20, 0xFF])
def test_no_byte_can_be_changed(signed, keys, mask):
    accepted = []
    for at in range(len(signed)):
        opened = attest.open_envelope(signed[:at] + bytes([signed[at] ^ mask]) + signed[at + 1 :], keys)
        if opened.verdict == "valid":
            accepted.append(at)
        else:
            assert opened.statement is None, at
            assert opened.signed_by == (), at
            assert opened.detail, at
    assert accepted == []


@pytest.mark.parametrize("size_bytes", [0, 1, 100, 700, -2])
def test_no_part_of_it_is_enough(signed, keys, size_bytes):
    assert attest.open_envelope(signed[:size_bytes], keys).verdict == "malformed"


def test_a_changed_payload_is_a_bad_signature(signed, keys, make_statement):
    other = base64.b64encode(make_statement(metrics={"accuracy": "0.990"}).to_bytes()).decode()
    opened = attest.open_envelope(changed(signed, payload=other), keys)
    assert opened.verdict == "bad signature"
    assert "changed after it was signed, or was never signed by ken" in opened.detail


def test_a_signature_under_another_s_name_is_a_bad_signature(signed, keys, signers):
    assert (
        attest.open_envelope(with_signature(signed, keyid=signers.aiko.key_id), keys).verdict
        == "bad signature"
    )


def test_an_unknown_key_is_said_to_be_unknown(signed, keys):
    opened = attest.open_envelope(signed, {"aiko": keys["aiko"]})
    assert (opened.verdict, opened.statement) == ("unknown key", None)
    assert attest.open_envelope(signed, {}).verdict == "unknown key"


def test_a_damaged_line_of_one_person_spares_the_others(signed, keys):
    assert attest.open_envelope(signed, keys | {"mori": ["ssh-ed25519 damaged", ""]}).verdict == "valid"


def two_signatures(payload, one, other):
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(one.crypto)
    envelope.sign(other.crypto)
    return json.dumps(envelope.to_dict()).encode()


def test_giver_and_receiver_can_both_sign(make_statement, keys, signers):
    both = two_signatures(make_statement().to_bytes(), signers.aiko, signers.ken)
    assert attest.open_envelope(both, keys).signed_by == ("aiko", "ken")
    beside = two_signatures(make_statement().to_bytes(), signers.eve, signers.ken)
    assert attest.open_envelope(beside, keys).signed_by == ("ken",)


def test_one_bad_signature_beside_a_good_one_is_bad(make_statement, keys, signers):
    both = json.loads(two_signatures(make_statement().to_bytes(), signers.aiko, signers.ken))
    both["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    opened = attest.open_envelope(json.dumps(both).encode(), keys)
    assert (opened.verdict, opened.detail.split()[-1]) == ("bad signature", "aiko")


@pytest.mark.parametrize("sig", ["", "AAAA", "é", None, 7, base64.b64encode(bytes(5000)).decode()])
def test_what_is_no_signature(signed, keys, sig):
    assert attest.open_envelope(with_signature(signed, sig=sig), keys).verdict in {
        "malformed",
        "bad signature",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"payloadType": "text/plain"},
        {"payload": None},
        {"payload": "e30"},
        {"payload": "e31="},
        {"signatures": []},
        {"signatures": {}},
        {"signatures": [1]},
        {"signatures": [{"sig": "AAAA"}]},
        {"signatures": [{"keyid": "a", "sig": "AAAA"}] * 2},
        {"signatures": [{"keyid": str(n), "sig": "AAAA"} for n in range(1000)]},
    ],
)
def test_what_is_no_envelope(signed, keys, fields):
    opened = attest.open_envelope(changed(signed, **fields), keys)
    assert opened.verdict == "malformed"
    assert "not a DSSE envelope" in opened.detail


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"[" * 200_000, b'{"a":1,"a":2}', b"\xff", b" " * (MAX_ENVELOPE_BYTES + 1)]
)
def test_what_is_no_document(keys, data):
    assert attest.open_envelope(data, keys).verdict == "malformed"


@settings(max_examples=100, deadline=None)
@given(
    data=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["payload", "payloadType", "signatures", "sig", "keyid"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_a_verdict_is_never_an_exception(data):
    assert attest.open_envelope(data, {}).verdict == "malformed"


def test_a_well_signed_payload_of_another_kind_is_malformed(keys, signers):
    for payload in (b"hello", b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"x"}'):
        opened = attest.open_envelope(attest.sign(payload, signers.ken), keys)
        assert (opened.verdict, opened.statement) == ("malformed", None)
        assert "the proof" in opened.detail


def test_url_safe_base64_is_read_too(signed, keys):
    data = json.loads(signed)
    data["signatures"][0]["sig"] = data["signatures"][0]["sig"].replace("+", "-").replace("/", "_")
    assert attest.open_envelope(json.dumps(data).encode(), keys).verdict == "valid"
