"""People with keys, and proofs that they signed."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from datakeep import attest
from datakeep.formats import proof
from datakeep.formats.person import Person, PublicKey

MADE = datetime(2026, 11, 22, 9, 12, 3, tzinfo=UTC)


@pytest.fixture(scope="session")
def signers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    for name in ("aiko", "ken", "ken2", "eve"):
        attest.create(folder / name, None)
    return SimpleNamespace(
        **{name: attest.load(folder / name, None) for name in ("aiko", "ken", "ken2", "eve")}
    )


@pytest.fixture(scope="session")
def make_statement():
    def make(handle="ken", at=MADE, version="v3", **changes):
        fields = {
            "result": "passed",
            "stages": [proof.Stage(name=name, result="passed") for name in proof.STAGES],
            "started": at - timedelta(seconds=90),
            "finished": at,
            "person": proof.Prover(
                handle=handle, name=handle.title(), email=f"{handle}@corp.example", is_owner=handle == "aiko"
            ),
            "self_check": handle == "aiko",
            "verifier": proof.Verifier(datakeep="0.1.0", python="3.11.9", git="2.39.5", platform="linux"),
            "entry": proof.EntryProven(path=f"register/orders/{version}.yaml", keep_commit="ab" * 20),
            "metrics": {"accuracy": "0.910"},
        }
        return proof.Statement.build(
            "orders", version, "4f" * 20, "77" * 32, proof.Verification(**(fields | changes))
        )

    return make


@pytest.fixture(scope="session")
def make_person():
    def make(*signers, name="Ken", added=date(2026, 1, 5), revoked=None, departed=None):
        keys = [PublicKey(key=signer.public_line, added=added, revoked=revoked) for signer in signers]
        return Person(name=name, email=f"{name.lower()}@corp.example", keys=keys, departed=departed)

    return make
