"""Who vouches for what: signing keys, signed envelopes, and what a proof is worth.

``keys`` makes and loads the keys that sign, ``envelope`` signs and opens (DSSE, through securesystemslib),
``judge`` weighs a proof by the people and keys that the keep held when it was added. What a proof says is
in ``formats.proof``; when one is made is the workflows' affair.
"""

from __future__ import annotations

from datakeep.attest.envelope import Opened, Verdict, open_envelope, sign
from datakeep.attest.judge import About, Standing, Status, judge
from datakeep.attest.keys import Signer, create, default_path, key_id, load, public_key

__all__ = [
    "About",
    "Opened",
    "Signer",
    "Standing",
    "Status",
    "Verdict",
    "create",
    "default_path",
    "judge",
    "key_id",
    "load",
    "open_envelope",
    "public_key",
    "sign",
]
