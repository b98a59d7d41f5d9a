"""Proofs: what one verification found, as an in-toto Statement v1 whose exact bytes are signed.

The law: a payload holds no JSON number. JSON readers disagree on large and fractional ones (the protobuf
reader of in-toto makes all of them doubles), so numbers are decimal strings, and what was measured is
what is read back. ``docs/decisions/0003-proof-format.md`` says why this shape and this predicate type.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, Literal, NoReturn, Self

from pydantic import ConfigDict, Field, model_validator

from datakeep.core.errors import InvalidFile, UnknownFormat
from datakeep.core.names import NAME, VERSION
from datakeep.formats.base import Part, validate
from datakeep.formats.exact import (
    Commit,
    Count,
    Evidence,
    Integer,
    Moment,
    Number,
    Sha256Hex,
    Text,
    bare_digest,
    without_secrets,
)

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:datakeep:predicate/verification/1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
#: The stages of a verification, in order; a later one is not run when an earlier one failed.
STAGES = ("access", "bytes", "manifest", "environment", "training", "metric")
#: What a reader might take a proof for, and should not.
DOES_NOT_CLAIM = (
    "that the data is right, or fit for another purpose than the reference training",
    "that all of the data was read: the training may use a part of it",
    "that the metric is the same on other hardware or with other library versions",
    "that the signer is who the keep says: whoever can push to the keep can add a key",
)

_SUBJECT = re.compile(rf"({NAME.pattern})@({VERSION.pattern})")
_INVENTORY = "/inventory.parquet"

Acts = Literal["giver", "receiver", "administrator"]
StageResult = Literal["passed", "failed", "not run"]


class Stage(Part):
    """One stage: what it found, how long it took, and who must act if it failed."""

    name: str
    result: StageResult
    started: Moment | None = None
    seconds: Number | None = None
    evidence: Evidence = Field(default_factory=list)
    acts: Acts | None = None
    next_step: Text | None = None


class Prover(Part):
    """Who ran the verification."""

    handle: str = Field(min_length=1)
    name: str
    email: str
    is_owner: bool


class Verifier(Part):
    """The programs that ran the verification, by version, and the machine's platform."""

    datakeep: str
    python: str
    git: str
    dvc: str | None = None
    uv: str | None = None
    platform: str


class Fetched(Part):
    """What came from the vault: objects by store, and what the re-hash of all bytes found."""

    stores: dict[str, Count]
    objects: Count
    size_bytes: Count
    rehashed_bytes: Count
    missing: Count
    mismatched: Count
    stray: Count


class Criterion(Part):
    """What a metric must be."""

    value: Number
    tolerance: Number


class Criteria(Part):
    """The criteria, and the commit that locked them before the run."""

    commit: Commit
    expect: dict[str, Criterion]
    baseline: dict[str, Number] = Field(default_factory=dict)


class Environment(Part):
    """The training's software: ``versions`` by package, ``transport`` the settings by which they came."""

    kind: str
    lock_sha256: Sha256Hex | None = None
    python: str | None = None
    platform: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    transport: dict[str, str] = Field(default_factory=dict)


class Packages(Part):
    """How many packages were installed, and how many of them a local cache served."""

    installed: Count
    from_cache: Count
    fresh: bool


class Training(Part):
    """What the training took, and how it ended."""

    wall_s: Number
    cpu_s: Number | None = None
    peak_rss_bytes: Count | None = None
    exit_code: Integer | None = None
    signal: Integer | None = None
    timed_out: bool = False


class SandboxUsed(Part):
    """What kept the training apart from the host; kind ``none`` is nothing."""

    kind: str
    version: str | None = None


class Network(Part):
    """In which stages the network was open."""

    access: bool
    environment: bool
    training: bool


class ModelMade(Part):
    """The model file that the training left."""

    model_config = ConfigDict(protected_namespaces=())

    path: str
    sha256: Sha256Hex
    size_bytes: Count
    name: str | None = None


class EntryProven(Part):
    """The register entry that was verified, and the commit of the keep that holds it."""

    path: str
    keep_commit: Commit


class Verification(Part):
    """The predicate: one verification, passed or failed.

    Raises:
        ValueError: Result, stages and the stage at fault contradict each other.
    """

    model_config = ConfigDict(title="the predicate of proofs/<dataset>/<version>/*.dsse.json")

    result: Literal["passed", "failed"]
    at_fault: str | None = None
    stages: list[Stage] = Field(min_length=1)
    started: Moment
    finished: Moment
    person: Prover
    self_check: bool
    verifier: Verifier
    entry: EntryProven
    fetch: Fetched | None = None
    criteria: Criteria | None = None
    metrics: dict[str, Number] = Field(default_factory=dict)
    environment: Environment | None = None
    packages: Packages | None = None
    training: Training | None = None
    sandbox: SandboxUsed | None = None
    network: Network | None = None
    let_in: list[str] = Field(default_factory=list)
    model: ModelMade | None = None
    expires: Moment | None = None
    does_not_claim: list[str] = Field(default_factory=lambda: list(DOES_NOT_CLAIM))

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        failed = [stage.name for stage in self.stages if stage.result == "failed"]
        unfinished = [stage.name for stage in self.stages if stage.result == "not run"]
        if self.result == "passed" and (failed or unfinished or self.at_fault):
            raise ValueError(f"it says 'passed', but not every stage did: {', '.join(failed + unfinished)}")
        if self.result == "failed" and self.at_fault not in failed:
            raise ValueError(f"it says 'failed' at {self.at_fault!r}, but that stage did not fail")
        if self.person.is_owner and not self.self_check:
            raise ValueError("the owner's own run must be marked as a self-check")
        if self.finished < self.started:
            raise ValueError("it finished before it started")
        return self


class Subject(Part):
    """What a statement is about, by digest."""

    name: str
    digest: dict[str, str] = Field(min_length=1)


class Statement(Part):
    """An in-toto Statement v1 about one dataset version; subjects are the dataset and its inventory."""

    model_config = ConfigDict(title="the payload of proofs/<dataset>/<version>/*.dsse.json")

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(default=STATEMENT_TYPE, alias="_type")
    subject: list[Subject] = Field(min_length=2, max_length=2)
    predicate_type: Literal["urn:datakeep:predicate/verification/1"] = Field(
        default=PREDICATE_TYPE, alias="predicateType"
    )
    predicate: Verification

    @model_validator(mode="after")
    def _about_one_version(self) -> Self:
        dataset, inventory = self.subject
        if not _SUBJECT.fullmatch(dataset.name) or inventory.name != dataset.name + _INVENTORY:
            raise ValueError("its subjects must be NAME@vN and NAME@vN/inventory.parquet")
        if "gitCommit" not in dataset.digest or "sha256" not in inventory.digest:
            raise ValueError("its subjects need the digests gitCommit and sha256")
        return self

    @classmethod
    def build(
        cls, dataset: str, version: str, commit: str, inventory_sha256: str, predicate: Verification
    ) -> Self:
        """The statement of ``predicate`` about ``dataset@version``; secrets in its texts are left out.

        Args:
            dataset: The dataset's name.
            version: Such as ``v3``.
            commit: The commit of the version's tag, in hex.
            inventory_sha256: The inventory's digest in hex, with or without ``sha256:`` before it.
            predicate: What was found.
        """
        name = f"{dataset}@{version}"
        data = {
            "subject": [
                {"name": name, "digest": {"gitCommit": commit}},
                {"name": name + _INVENTORY, "digest": {"sha256": bare_digest(inventory_sha256)}},
            ],
            "predicate": _scrubbed(predicate.model_dump(mode="json", by_alias=True)),
        }
        return validate(cls, data, f"the proof of {name}")

    @classmethod
    def from_bytes(cls, payload: bytes, *, what: str) -> Self:
        """The statement in ``payload``; unknown fields are kept.

        Raises:
            UnknownFormat: It is another kind of statement, or of a major version from the future.
            InvalidFile: It is not JSON, holds a bare number or a name twice, or a field has a wrong value.
        """
        try:
            data = json.loads(
                payload.decode("utf-8"),
                object_pairs_hook=unique_names,
                parse_int=_refuse_number,
                parse_float=_refuse_number,
                parse_constant=_refuse_number,
            )
        except (ValueError, RecursionError) as error:
            raise InvalidFile(
                f"{what} is not a statement: {error}", next_step="take the proof from the keep again"
            ) from error
        _check_types(data, what)
        return validate(cls, data, what)

    def to_bytes(self) -> bytes:
        """Canonical JSON: UTF-8, names sorted, no spaces; the same statement gives the same bytes."""
        data = self.model_dump(mode="json", by_alias=True)
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return self.subject[0].name.partition("@")[0]

    @property
    def version(self) -> str:
        """Such as ``v3``."""
        return self.subject[0].name.partition("@")[2]

    @property
    def commit(self) -> str:
        """The commit of the version's tag, in hex."""
        return self.subject[0].digest["gitCommit"]

    @property
    def inventory_sha256(self) -> str:
        """The inventory's digest, in hex."""
        return self.subject[1].digest["sha256"]


def proof_path(statement: Statement) -> str:
    """Where the keep holds the proof: ``proofs/orders/v3/2026-11-22T091203Z-ken.dsse.json``."""
    made = statement.predicate.finished.strftime("%Y-%m-%dT%H%M%SZ")
    handle = statement.predicate.person.handle
    return f"proofs/{statement.dataset}/{statement.version}/{made}-{handle}.dsse.json"


def seconds(duration: timedelta | float) -> Decimal:
    """A measured duration as a decimal number of seconds, to the millisecond."""
    total_s = duration.total_seconds() if isinstance(duration, timedelta) else duration
    return Decimal(f"{total_s:.3f}")


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a name given twice is refused, because readers disagree on which of them counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"it holds the bare number {text[:40]}; numbers in a proof are decimal strings")


def _check_types(data: object, what: str) -> None:
    if not isinstance(data, dict) or data.get("_type") != STATEMENT_TYPE:
        raise UnknownFormat(
            f"{what} is no proof, or was changed after it was signed: it holds no in-toto Statement v1",
            next_step="hand in the file as `datakeep verify` wrote it",
        )
    kind = data.get("predicateType")
    head, _, major = str(kind).rpartition("/")
    if kind == PREDICATE_TYPE:
        return
    if head == PREDICATE_TYPE.rpartition("/")[0] and major.isdecimal() and int(major[:9]) > 1:
        raise UnknownFormat(
            f"{what} has the predicate type {kind!r}, which is newer than this datakeep understands",
            next_step="upgrade datakeep: pip install --upgrade datakeep",
        )
    raise UnknownFormat(
        f"{what} is a statement of another kind: its predicate type is {str(kind)[:80]!r}",
        next_step=f"give a proof whose predicate type is {PREDICATE_TYPE}",
    )


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _scrubbed(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_scrubbed(child) for child in value]
    return without_secrets(value) if isinstance(value, str) else value
