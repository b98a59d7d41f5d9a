"""``models/<model>/v7.yaml``: what one trained model was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field

from datakeep.core.names import NAME, VERSION
from datakeep.formats.base import COMMIT, SHA256_ID, Document, Part

if TYPE_CHECKING:
    from datakeep.formats.version import VersionEntry

#: Seconds as decimal text.
_SECONDS = r"^-?[0-9]+(\.[0-9]+)?$"

Origin = Literal["run", "verification", "declared", "mlflow", "wandb"]


class Artifact(Part):
    """A file that the training left.

    ``written_s`` is when it was changed last, in seconds since the training began, as decimal text; not written down
    where that cannot be held against the times at which files were opened.
    """

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)
    written_s: str | None = Field(default=None, pattern=_SECONDS)


class FilesRead(Part):
    """How many files of a dataset were read, by split, and the digest of their list (one path per line).

    ``of`` is how many the version has; where not all of them were read, ``kept`` is the path in the keep at which
    the list itself lies. ``opened_s`` is when the first file of each split was opened first, as ``written_s`` of an
    artifact.
    """

    count: int = Field(ge=0)
    splits: dict[str, int] = Field(default_factory=dict)
    list: str | None = Field(default=None, pattern=SHA256_ID)
    of: int | None = Field(default=None, ge=0)
    kept: str | None = None
    opened_s: dict[str, str] = Field(default_factory=dict)


class ModelInput(Part):
    """One dataset version that went into the model, and how that is known.

    ``because`` is in words what a tracker said, and how that leads to this version.
    """

    dataset: str
    version: str
    commit: str = Field(pattern=COMMIT)
    content: str = Field(pattern=SHA256_ID)
    how: Literal["observed", "given", "declared"]
    because: str | None = None
    files_read: FilesRead | None = None

    @classmethod
    def declared(cls, entry: VersionEntry, because: str | None = None) -> Self:
        """The version of ``entry``, of which somebody says that it went in."""
        said: dict[str, Any] = (
            {} if because is None else {"because": because}
        )  # what is not set is not written
        return cls(**_names(entry), how="declared", **said)

    @classmethod
    def handed_over(cls, entry: VersionEntry, files_read: FilesRead | None) -> Self:
        """The version of ``entry``, which the training was given; without ``files_read``, nobody saw what it read."""
        how: Literal["given", "observed"] = "given" if files_read is None else "observed"
        return cls(**_names(entry), how=how, files_read=files_read)


def _names(entry: VersionEntry) -> dict[str, Any]:
    return {
        "dataset": entry.dataset,
        "version": entry.version,
        "commit": entry.commit,
        "content": entry.content,
    }


class CodeFile(Part):
    """A file of code that was read and is in no commit."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ModelCode(Part):
    """The training's code; ``dirty`` is the digest of what was not committed, ``diff`` where the keep has it.

    ``withheld`` says why the keep does not have it. ``files`` are the script and the files of code in its folder that
    were read, where that lies in no git work tree; their paths are relative to it.
    """

    url: str | None = None
    commit: str | None = None
    path: str | None = None
    dirty: str | None = None
    diff: str | None = None
    withheld: str | None = None
    files: list[CodeFile] | None = None


class ModelEnvironment(Part):
    """The software and machine of the training.

    ``data_read`` names files of data that came with software and were read, up to a hundred of ``data_read_count``.
    """

    kind: str
    lock: str | None = None
    python: str | None = None
    platform: str | None = None
    gpu: str | None = None
    cuda: str | None = None
    cpu: str | None = None
    packages: str | None = Field(default=None, pattern=SHA256_ID)
    package_count: int | None = Field(default=None, ge=0)
    variables: dict[str, str] = Field(default_factory=dict)
    data_read: list[str] | None = None
    data_read_count: int | None = Field(default=None, ge=0)


class Observation(Part):
    """How it is known which files were read; ``why`` says why not by strace, which sees all, or why it did not.

    ``standard_input`` says that it was a pipe, a socket or a deleted file: what came through it, if anything was
    read, is not known. ``pipes`` are the named pipes that were opened, of which that is not known either, and
    ``connections`` the addresses and ports that were called over the network, of services of this machine too.
    """

    by: Literal["strace", "audit-hook", "nothing"]
    why: str | None = None
    standard_input: Literal["pipe", "socket", "deleted file"] | None = None
    pipes: list[str] | None = None
    connections: list[str] | None = None


class GpuUse(Part):
    """How one whole GPU was used while the training ran, whoever used it, as seen in ``samples`` looks."""

    gpu: int = Field(ge=0)
    name: str | None = None
    memory_before_bytes: int | None = Field(default=None, ge=0)
    peak_memory_bytes: int | None = Field(default=None, ge=0)
    utilisation_percent: str | None = None
    samples: int = Field(ge=0)


class Resources(Part):
    """What the training took; numbers as decimal text."""

    wall_s: str | None = None
    cpu_s: str | None = None
    peak_rss_bytes: int | None = None
    gpus: list[GpuUse] | None = None


class TrackedRun(Part):
    """The run of a tracker of experiments that belongs to the model; ``url`` is where, without a password.

    ``further`` are other runs that the same training logged.
    """

    tracker: Literal["mlflow", "wandb"]
    run: str
    name: str | None = None
    experiment: str | None = None
    url: str | None = None
    further: list[str] = Field(default_factory=list)


class ModelRecord(Document):
    """A model record as a whole.

    ``unread_bases`` are those of ``base_models`` that were named, and of which no file was read, as was seen.
    """

    kind: ClassVar[str] = "model"
    model_config = ConfigDict(
        title="models/<model>/<version>.yaml, what a model was made of", protected_namespaces=()
    )

    format: Literal["datakeep/model/1"] = "datakeep/model/1"
    model: str = Field(pattern=rf"^{NAME.pattern}$")
    version: str = Field(pattern=rf"^{VERSION.pattern}$")
    artifacts: list[Artifact]
    inputs: list[ModelInput]
    undeclared: list[dict[str, Any]] = Field(default_factory=list)
    undeclared_count: int | None = Field(default=None, ge=0)
    base_models: list[str] = Field(default_factory=list)
    unread_bases: list[str] = Field(default_factory=list)
    code: ModelCode
    command: list[str]
    parameters: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, str] = Field(default_factory=dict)
    environment: ModelEnvironment
    resources: Resources
    origin: Origin
    status: Literal["completed", "failed"] | None = None
    failure: str | None = None
    exit_code: int | None = None
    observed: Observation | None = None
    seeds: dict[str, str] = Field(default_factory=dict)
    proof: str | None = None
    tracked: TrackedRun | None = None
    recorded_at: str | None = None
    recorded_by: str | None = None
    handed_in_by: str | None = None
    unknown: list[str] = Field(default_factory=list)

    @property
    def label(self) -> str:
        """``churn@v7``."""
        return f"{self.model}@{self.version}"

    @property
    def misses_reads(self) -> bool:
        """Whether files may have been read that nobody saw: a file that is not among the read ones may be one."""
        return self.observed is not None and (self.observed.by != "strace" or self.observed.why is not None)

    @property
    def is_seen(self) -> bool:
        """Whether somebody saw all that the training read beside what it was given."""
        return not self.misses_reads if self.observed is not None else self.origin == "verification"

    @property
    def took_unknown(self) -> bool:
        """Whether something may have come in of which nobody knows what it was.

        Through a pipe or over the network, or from a file that was changed meanwhile, or is gone.
        """
        seen = self.observed
        came_in = seen is not None and bool(seen.standard_input or seen.pipes or seen.connections)
        return came_in or any("sha256" not in one or "changed" in one for one in self.undeclared)

    def read_nothing_of(self, given: ModelInput) -> bool:
        """Whether ``given`` is known not to have gone in: the training was given it, and opened no file of it."""
        read = given.files_read
        return given.how == "observed" and read is not None and not read.count and self.knows_files_of(given)

    def knows_files_of(self, given: ModelInput) -> bool:
        """Whether the files of ``given`` that are counted as read are known to be all that were."""
        read = given.files_read
        return read is not None and (not self.misses_reads or read.count == read.of)
