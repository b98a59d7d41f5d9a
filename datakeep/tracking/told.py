"""What a tracker tells of one run: taken over as it says it, bounded, and without secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from datakeep.core.secrets import guarded, is_secret_name, withheld
from datakeep.formats.yaml import unshowable

if TYPE_CHECKING:
    from collections.abc import Mapping

#: More of a kind than this is counted, not taken over.
MAX_NAMED, MAX_DATA = 1000, 300
_MAX_CHARACTERS = 1000
_MAX_DEPTH = 20
_MAX_INTEGER = 1 << 63
#: Characters of all parameters together.
_MAX_PARAMETERS = 200_000

Tracker = Literal["mlflow", "wandb"]


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that a tracker names.

    Attributes:
        path: Its path within what it belongs to.
        md5: Of its bytes, in hex; None if the tracker does not say.
        size_bytes: None if the tracker does not say.
    """

    path: str
    md5: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NamedData:
    """Data that a run names as its own.

    Attributes:
        name: What the tracker calls it.
        said: What it is to the tracker, in words: ``training dataset``.
        kind: The tracker's word for where it came from: ``datakeep``, ``local``, ``http``.
        digest: The tracker's own digest; computed in its own way.
        places: Paths and URLs that it gives, without passwords.
        version: What a source of datakeep's own kind says: dataset, version, commit, content.
        files: Its files, where they are listed.
        in_passing: True for a mere value, such as a parameter: it counts only where its place proves a version.
        doubt: Why it may not have gone into the model.
    """

    name: str
    said: str
    kind: str = ""
    digest: str | None = None
    places: tuple[str, ...] = ()
    version: Mapping[str, str] | None = None
    files: tuple[NamedFile, ...] = ()
    in_passing: bool = False
    doubt: str | None = None


@dataclass(slots=True)
class Told:
    """All that is told of one run.

    Attributes:
        tracker: Who tells it.
        run: The run's id there.
        name: Its name there.
        experiment: The experiment or project that it belongs to.
        url: Where the tracker is, without a password.
        record: The model record that datakeep wrote for it, ``churn@v7``; None if none is named.
        keep: The keep that has it.
        completed: Whether the training ended well; None if that is not told.
        failure: How it failed, in words.
        exit_code: Its exit code.
        parameters: By name.
        metrics: The last value of each, as decimal text.
        data: The datasets that it names.
        files: The files that it says it left.
        code_url: The repository of its code, without a password.
        code_commit: And the commit.
        code_path: The script.
        command: The program's arguments.
        python: The version of Python.
        platform: The system.
        gpu: The GPU.
        cpu: The CPU.
        cuda: The version of CUDA.
        packages: ``name==version`` of each installed package, sorted.
        wall_s: How long it took (seconds).
        unknown: What could not be read of it, in words.
    """

    tracker: Tracker
    run: str
    name: str | None = None
    experiment: str | None = None
    url: str | None = None
    record: str | None = None
    keep: str | None = None
    completed: bool | None = None
    failure: str | None = None
    exit_code: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    data: list[NamedData] = field(default_factory=list)
    files: list[NamedFile] = field(default_factory=list)
    code_url: str | None = None
    code_commit: str | None = None
    code_path: str | None = None
    command: list[str] = field(default_factory=list)
    python: str | None = None
    platform: str | None = None
    gpu: str | None = None
    cpu: str | None = None
    cuda: str | None = None
    packages: tuple[str, ...] = ()
    wall_s: float | None = None
    unknown: list[str] = field(default_factory=list)


def clipped(text: Any) -> str:
    """``text`` in at most 1,000 characters that a file can hold, and with no secret that can be seen in it."""
    shown = withheld(str(text)[: 2 * _MAX_CHARACTERS])[:_MAX_CHARACTERS]
    if unshowable(shown):
        shown = "".join(repr(one)[1:-1] if unshowable(one) else one for one in shown)
    return shown


def parameters_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a record has them; what would make it too large is named, and its value is not kept."""
    found: dict[str, Any] = {}
    left = _MAX_PARAMETERS
    for name, value in [*said.items()][:MAX_NAMED]:
        kept = value_of(str(name), value)
        left -= (size := len(repr(kept)))
        found[clipped(name)] = kept if left >= 0 else f"(not kept: {size:,} characters)"
        left = max(left, 0)
    return found


def more(unknown: list[str], what: str, count: int, limit: int = MAX_NAMED) -> None:
    """Says how many of a kind were left out."""
    if count > limit:
        unknown.append(f"{count - limit:,} more {what}, which were counted and not taken over")


def value_of(name: str, value: Any, depth: int = 0) -> Any:
    """A parameter's value, which may have parts; what is secret by its name or its looks is withheld."""
    if isinstance(value, dict | list) and depth >= _MAX_DEPTH:
        return "(too deep)"
    if isinstance(value, dict):
        pairs = [*value.items()][:MAX_NAMED]
        return {clipped(key): value_of(str(key), inner, depth + 1) for key, inner in pairs}
    if isinstance(value, list):
        return [value_of(name, inner, depth + 1) for inner in value[:MAX_NAMED]]
    if value is not None and is_secret_name(name):
        return guarded(value, name)
    is_plain = (
        value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < _MAX_INTEGER)
    )
    return value if is_plain else clipped(value)


def texts_of(value: Any) -> list[str]:
    """All texts in a value that may have parts."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts_of(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in texts_of(inner)]
    return [value] if isinstance(value, str) else []
