"""Signed envelopes (DSSE): exactly the bytes that were signed are the bytes that are read.

securesystemslib signs and verifies. What it accepts too generously is narrowed here: base64 that decodes
to the same bytes from different text, names given twice, and documents without bound.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from datakeep.attest.keys import public_key
from datakeep.core.errors import InvalidFile, KeyFault
from datakeep.formats.proof import PAYLOAD_TYPE, Statement, unique_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature, SSlibKey

    from datakeep.attest.keys import Signer

MAX_ENVELOPE_BYTES = 16 * 1024 * 1024
MAX_SIGNATURES = 32
Verdict = Literal["valid", "bad signature", "unknown key", "malformed"]


@dataclass(frozen=True, slots=True)
class Opened:
    """What an envelope turned out to be.

    Attributes:
        verdict: ``valid``; ``bad signature`` (it names a known key, but was changed after that key
            signed, or was not signed by it); ``unknown key``; ``malformed`` (no envelope, or no statement of
            ours in it).
        statement: What was signed; None unless valid.
        signed_by: Whose keys signed it, sorted; empty unless valid.
        key_ids: The keys that signed it; empty unless valid.
        detail: One sentence that says why; empty if valid.
    """

    verdict: Verdict
    statement: Statement | None = None
    signed_by: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()
    detail: str = ""


def sign(payload: bytes, signer: Signer) -> bytes:
    """A DSSE envelope around exactly ``payload``, with one signature."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signer.crypto)
    return _to_bytes(envelope)


def _to_bytes(envelope: Envelope) -> bytes:
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def open_envelope(data: bytes, keys: Mapping[str, Iterable[str]]) -> Opened:
    """Who signed what; a verdict, never an exception.

    Every signature that names a known key must be good; one by an unknown key beside a good one is
    passed over. Nothing of the payload is handed out unless it is signed.

    Args:
        data: The envelope's bytes.
        keys: The public lines (``ssh-ed25519 AAAA…``) of each person, by handle. A line that cannot be read
            counts for nobody.
    """
    try:
        envelope = _parse(data)
    except (ValueError, RecursionError) as error:
        return Opened("malformed", detail=f"it is not a DSSE envelope of an in-toto statement: {error}")
    known, holders = _by_key_id(keys)
    claimed = [signature for key_id, signature in envelope.signatures.items() if key_id in known]
    if not claimed:
        return Opened("unknown key", detail="no key of the keep's people signed it")
    bad = [signature for signature in claimed if not _good(known[signature.keyid], signature, envelope)]
    if bad:
        names = ", ".join(sorted({name for signature in bad for name in holders[signature.keyid]}))
        return Opened(
            "bad signature", detail=f"it was changed after it was signed, or was never signed by {names}"
        )
    try:
        statement = Statement.from_bytes(envelope.payload, what="the proof")
    except InvalidFile as error:
        return Opened("malformed", detail=error.what)
    key_ids = tuple(sorted(signature.keyid for signature in claimed))
    signed_by = tuple(sorted({name for key_id in key_ids for name in holders[key_id]}))
    return Opened("valid", statement, signed_by, key_ids)


def _parse(data: bytes) -> Envelope:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature

    if len(data) > MAX_ENVELOPE_BYTES:
        raise ValueError(f"it is larger than {MAX_ENVELOPE_BYTES} bytes")
    fields = json.loads(data.decode("utf-8"), object_pairs_hook=unique_names)
    if not isinstance(fields, dict) or fields.get("payloadType") != PAYLOAD_TYPE:
        raise ValueError(f"its payloadType is not {PAYLOAD_TYPE}")
    signed = fields.get("signatures")
    if not isinstance(signed, list) or not 1 <= len(signed) <= MAX_SIGNATURES:
        raise ValueError(f"it needs 1 to {MAX_SIGNATURES} signatures")
    signatures: dict[str, Signature] = {}
    for item in signed:
        key_id = item.get("keyid") if isinstance(item, dict) else None
        if not isinstance(key_id, str) or key_id in signatures:
            raise ValueError("each signature needs a keyid of its own")
        signatures[key_id] = Signature(key_id, _decoded(item.get("sig")).hex())
    return Envelope(_decoded(fields.get("payload")), PAYLOAD_TYPE, signatures)


def _decoded(text: Any) -> bytes:
    """base64, standard or URL-safe (the DSSE specification allows both), in its one canonical spelling."""
    if not isinstance(text, str):
        raise ValueError("payload and signatures must be base64 strings")  # noqa: TRY004 - one kind of refusal for all malformed input
    decoded = base64.b64decode(text.translate(_STANDARD), validate=True)
    if base64.b64encode(decoded).decode() != text.translate(_STANDARD):
        raise ValueError("its base64 is not canonical")
    return decoded


_STANDARD = str.maketrans("-_", "+/")


def _by_key_id(keys: Mapping[str, Iterable[str]]) -> tuple[dict[str, SSlibKey], dict[str, set[str]]]:
    """The readable keys by their identifier, and who holds each."""
    known: dict[str, SSlibKey] = {}
    holders: dict[str, set[str]] = {}
    for handle, lines in keys.items():
        for line in lines:
            try:
                key = public_key(line)
            except KeyFault:
                continue  # one person's damaged line must not take the others' proofs away
            known[key.keyid] = key
            holders.setdefault(key.keyid, set()).add(handle)
    return known, holders


def _good(key: SSlibKey, signature: Signature, envelope: Envelope) -> bool:
    from securesystemslib.exceptions import UnverifiedSignatureError

    try:
        key.verify_signature(signature, envelope.pae())
    except UnverifiedSignatureError:  # the base of all its refusals
        return False
    return True
