"""``dataset.yaml``: what a dataset is, where it comes from, whose it is and under which rules."""

from __future__ import annotations

import shlex
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from datakeep.core import paths
from datakeep.core.counts import counted
from datakeep.core.names import NAME
from datakeep.core.parameter_types import parameters_shown
from datakeep.core.secrets import find_secret
from datakeep.formats.base import Document, Part, Until, When, is_after

BackendName = Literal["git", "dvc"]
SourceKind = Literal["sql", "files", "capture", "derived", "public", "unknown"]
Personal = Literal["yes", "pseudonymised", "no", "unknown"]


def _safe_path(path: str) -> str:
    refusal = paths.refuse(path.rstrip("/"))
    if refusal:
        raise ValueError(f"is not a path inside the dataset repository: {refusal.reason}")
    return path


def _yes_or_no(value: Any) -> Any:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _decimal(value: Any) -> Any:
    """Floats by their shortest text, so that 0.91 stays 0.91."""
    return Decimal(repr(float(value))) if isinstance(value, float) else value


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError("must be a finite number")
    return value


RepositoryPath = Annotated[str, AfterValidator(_safe_path)]
Number = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_finite)]

#: Of what a database says of a table, in one line.
_SHOWN_CHARACTERS = 120


class Owner(Part):
    """A person, as in a mail's From line."""

    name: str = Field(min_length=1)
    email: str = Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


class Task(Part):
    """What is predicted, and how success is measured."""

    target: str | None = None
    metric: str | None = None


class CodeAt(Part):
    """Code in a git repository of its own, at one commit."""

    url: str
    commit: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    path: RepositoryPath | None = None


class ExtractedColumn(Part):
    """A column of a query's result: its type as the database says it, and as Arrow has it."""

    name: str
    database_type: str
    arrow_type: str
    note: str | None = None


class ReadFile(Part):
    """A file that a query read, as it was then: its sha256, or an object store's own word for its version."""

    path: str
    size_bytes: int = Field(ge=0)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    version: str | None = None


class ReadTable(Part):
    """A table, view or file that a query read; ``columns: unknown`` says that they could not be told."""

    name: str
    kind: str
    columns: list[str] | Literal["unknown"]
    through: list[str] = Field(default_factory=list)
    primary_key: list[str] = Field(default_factory=list)
    comment: str | None = None
    definition: str | None = None
    owner: str | None = None
    files: list[ReadFile] = Field(default_factory=list)

    def __str__(self) -> str:
        columns = "columns unknown" if self.columns == "unknown" else counted(len(self.columns), "column")
        parts = [columns, *([f"through {' and '.join(self.through)}"] if self.through else [])]
        said = " ".join((self.comment or "").split())
        said = said if len(said) <= _SHOWN_CHARACTERS else said[:_SHOWN_CHARACTERS] + "…"
        return f"{self.name} ({', '.join(parts)})" + (f": {said}" if said else "")


class CalledFunction(Part):
    """A function that the query, or a view behind it, calls, and that somebody wrote."""

    name: str
    definition: str
    owner: str | None = None

    def __str__(self) -> str:
        return f"{self.name} (of {self.owner})" if self.owner else self.name


class Extraction(Part):
    """How the query of a source was run; datakeep, which ran it, writes this down, and no person does."""

    query_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    normalised: str
    server: str
    isolation: str
    snapshot: str | None = None
    snapshot_at: datetime | None = None
    started_at: datetime
    ended_at: datetime
    columns: list[ExtractedColumn]
    dictionary: dict[str, dict[str, Any]] | None = Field(
        default=None,
        description="what the database's catalogue said of the columns: comments as meaning, and key",
    )
    settings: dict[str, str] = Field(
        default_factory=dict,
        description="what was in force of settings that say what a query means, such as search_path, where the role, "
        "the database or the URL set them",
    )
    advice: list[str] = Field(
        default_factory=list,
        description="what another run would not give again: line, column, what, and its id; and what the rows say "
        "against their order, or a key",
    )
    guessed: list[str] = Field(
        default_factory=list, description="what was guessed of files of text: types, delimiter, form of dates"
    )
    tables: list[ReadTable] = Field(default_factory=list)
    functions: list[CalledFunction] | None = Field(
        default=None,
        description="functions that the query or its views call, none of the database's own or an extension's; "
        "absent where that was not asked, or cannot be told",
    )
    as_text: list[str] = Field(default_factory=list)
    decimals: dict[str, list[int]] = Field(default_factory=dict)

    def __str__(self) -> str:
        return f"datakeep, in {self.server} ({self.isolation.removeprefix('none: ')})"


class Source(Part):
    """Where the data came from; which fields are needed depends on ``kind``."""

    kind: SourceKind
    query: RepositoryPath | None = None
    dialect: str | None = None
    database: str | None = None
    parameters: dict[str, Any] | None = None
    extracted_at: When | Literal["unknown"] | None = None
    extracted_by: str | None = None
    rows: int | None = Field(default=None, ge=0)
    extraction: Extraction | None = None
    valid_from: When | None = None
    valid_to: Until | None = None
    parents: list[str] | None = None
    code: CodeAt | None = None
    command: str | list[str] | None = None
    url: str | None = None
    origin: str | None = None

    def parameters_shown(self) -> str | None:
        """The parameters in one line, with the types that are stated; None if there is none."""
        return parameters_shown(self.parameters or {}) or None

    @field_validator("database", "url", "origin")
    @classmethod
    def _no_password(cls, value: str | None) -> str | None:
        secret = find_secret(value or "")
        if secret:
            raise ValueError(f"holds {secret}; leave it out")
        return value


class Column(Part):
    """One column of tabular data: an entry of the data dictionary."""

    name: str
    type: str | None = None
    meaning: str | None = None
    unit: str | None = None
    key: bool | None = None


class Annotation(Part):
    """How labels were made; or why there are none to make (``none: labels come from the repair log``)."""

    none: str | None = Field(default=None, min_length=1)
    rules: str | None = None
    version: int | str | None = None
    tool: str | None = None
    classes: list[str] | None = None
    annotators: list[str] | None = None
    corrections: RepositoryPath | None = None


class Splits(Part):
    """Which files belong to which split (``train: ["data/train/**"]``), and what must not cross them."""

    __pydantic_extra__: dict[str, list[str]]
    group: str | None = None
    time: str | None = None

    @classmethod
    def takes_any_field(cls) -> bool:
        """Any other field is the name of a split."""
        return True

    @property
    def patterns(self) -> dict[str, list[str]]:
        """Split name to glob patterns, relative to the dataset repository."""
        return {
            name: list(globs)
            for name, globs in (self.__pydantic_extra__ or {}).items()
            if not name.startswith("x-")
        }


class Caveat(Part):
    """Something that misleads whoever does not know it, and the range that it holds for."""

    what: str = Field(min_length=1)
    where: str | None = None
    since: When | None = None
    until: Until | None = None


class Privacy(Part):
    """What is personal in the data, on what basis it is kept, until when, and who decided."""

    personal: Annotated[Personal, BeforeValidator(_yes_or_no)] | None = None
    basis: str | None = None
    retention_until: Until | None = None
    decided_by: str | None = None


class Access(Part):
    """How to get at the data, and who grants it."""

    how: str = Field(min_length=1)
    granted_by: str | None = None


class DocumentLink(Part):
    """A document that lies with the data, or a link to one."""

    title: str
    path: RepositoryPath | None = None
    url: str | None = None
    describes: str | None = None


class Environment(Part):
    """The locked software of a training: a uv lock, requirements with hashes, or an image by digest."""

    lock: RepositoryPath | None = None
    requirements: RepositoryPath | None = None
    image: str | None = Field(default=None, pattern=r"@sha256:[0-9a-f]{64}$")
    python: str | None = Field(default=None, pattern=r"^3\.[0-9]{1,2}(\.[0-9]{1,3})?$")

    @model_validator(mode="after")
    def _one(self) -> Environment:
        given = [name for name in ("lock", "requirements", "image") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("needs exactly one of lock, requirements, image")
        return self


class ModelFile(Part):
    """The file that the training leaves as its model, and the model's name (default: the dataset's)."""

    file: RepositoryPath
    name: str | None = Field(default=None, pattern=rf"^{NAME.pattern}$")


class Expectation(Part):
    """A metric's value, and how far off it may be."""

    value: Number
    tolerance: Annotated[Number, Field(ge=0)] = Decimal(0)


class ReferenceTraining(Part):
    """The training that proves the dataset usable."""

    code: RepositoryPath | CodeAt = "reference/"
    environment: Environment
    command: str | list[str]
    metrics: RepositoryPath = "metrics.json"
    model: ModelFile | None = None
    timeout_s: int = Field(default=600, gt=0)
    expect: dict[str, Expectation] = Field(default_factory=dict)
    baseline: dict[str, Number] = Field(default_factory=dict)

    @field_validator("command")
    @classmethod
    def _splits(cls, command: str | list[str]) -> str | list[str]:
        if not (shlex.split(command) if isinstance(command, str) else command):
            raise ValueError("is empty")
        return command

    def argv(self) -> list[str]:
        """The command as a list; a string is split by shlex, and no shell sees it."""
        return shlex.split(self.command) if isinstance(self.command, str) else list(self.command)


class Contents(Part):
    """What datakeep saw in the files: how many of each format, rows of tables, encodings other than UTF-8."""

    formats: dict[str, int] = Field(default_factory=dict)
    rows: int | None = Field(default=None, ge=0)
    encodings: dict[str, str] = Field(default_factory=dict)


class Manifest(Document):
    """``dataset.yaml`` as a whole."""

    kind: ClassVar[str] = "dataset"
    model_config = ConfigDict(title="dataset.yaml, the manifest of a dataset")

    format: Literal["datakeep/dataset/1"] = "datakeep/dataset/1"
    name: str = Field(pattern=rf"^{NAME.pattern}$")
    aliases: list[str] = Field(default_factory=list)
    title: str | None = None
    purpose: str | None = None
    task: Task | None = None
    owner: Owner | None = None
    stewards: list[Owner] = Field(default_factory=list)
    backend: BackendName
    source: Source | None = None
    contents: Contents | None = None
    columns: list[Column] = Field(default_factory=list)
    annotation: Annotation | Literal["unknown"] | None = None
    splits: Splits | None = None
    caveats: list[Caveat] = Field(default_factory=list)
    capture: dict[str, Any] | None = None
    privacy: Privacy | None = None
    license: str | None = None
    access: Access | None = None
    documents: list[DocumentLink] = Field(default_factory=list)
    reference: ReferenceTraining | None = None
    parts: list[str] = Field(default_factory=list)

    def contradictions(self) -> list[str]:
        """Ranges that end before they begin; refused of what a user states, shown of what was registered."""
        ranges = []
        if self.source:
            ranges.append(("source.valid", self.source.valid_from, self.source.valid_to, "_from", "_to"))
        for place, one in enumerate(self.caveats):
            ranges.append((f"caveats[{place}]", one.since, one.until, ".since", ".until"))
        return [
            f"{field}{end} is {last}, before {field}{begin}, {first}"
            for field, first, last, begin, end in ranges
            if first is not None and last is not None and is_after(first, last)
        ]
