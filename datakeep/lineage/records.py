"""The model records of a keep: ``models/<model>/v7.yaml``, read, and searched without an index.

A search looks at the text first and parses only what can be an answer, so that thousands of records cost
one git process and a few parsed files. One that cannot be read is an answer of its own: it never hides
the others, and never counts as "no record".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from datakeep.core.errors import InvalidFile
from datakeep.core.names import NAME, VERSION, version_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from datakeep.formats.model import ModelRecord

FOLDER = "models/"


class Reader(Protocol):
    """The files of a keep, at one commit."""

    def list(self, prefix: str = "", /) -> list[str]:
        """The paths of all files below ``prefix``."""

    def read_many(self, paths: Iterable[str], /) -> Mapping[str, bytes]:
        """The bytes of those of ``paths`` that exist."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that cannot be read: its path, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found; by model, the newest version first.

    Attributes:
        records: The records that answer it.
        broken: Records that could have answered it, but cannot be read.
    """

    records: tuple[ModelRecord, ...] = ()
    broken: tuple[Broken, ...] = ()


def record_path(model: str, version: str) -> str:
    """Where the keep has the record of a model's version."""
    return f"{FOLDER}{model}/{version}.yaml"


def names(reader: Reader) -> dict[str, tuple[str, ...]]:
    """Every model that has a record, and its versions, oldest first; nothing is read but the list."""
    found: dict[str, list[str]] = {}
    for path in reader.list(FOLDER):
        model, version = _place(path)
        if model:
            found.setdefault(model, []).append(version)
    return {model: tuple(sorted(versions, key=version_number)) for model, versions in sorted(found.items())}


def versions_of(reader: Reader, model: str) -> tuple[str, ...]:
    """The versions of a model that have records, oldest first; only its own folder is listed."""
    if not NAME.fullmatch(model):
        return ()
    found = [version for path in reader.list(f"{FOLDER}{model}/") if (version := _place(path)[1])]
    return tuple(sorted(found, key=version_number))


def all_records(reader: Reader, model: str | None = None) -> Found:
    """All records, or those of one model."""
    return _search(reader, reader.list(f"{FOLDER}{model}/" if model else FOLDER), b"", lambda _: True)


def find_by_model(reader: Reader, model: str, version: str | None = None) -> Found:
    """The record of a model's version, the newest by default."""
    versions = versions_of(reader, model)
    wanted = version or (versions[-1] if versions else None)
    if wanted not in versions:
        return Found()
    return _search(reader, [record_path(model, str(wanted))], b"", lambda _: True)


def find_by_digest(reader: Reader, sha256: str, *, chosen: bool = False) -> Found:
    """The records of the file with this digest, whatever it is called now.

    Args:
        reader: The keep's files.
        sha256: In hex, with or without ``sha256:`` before it.
        chosen: The reader has only records that can be an answer, or cannot be read: each of them is parsed.
    """
    wanted = sha256.removeprefix("sha256:").lower()

    def made_it(record: ModelRecord) -> bool:
        return any(artifact.sha256 == wanted for artifact in record.artifacts)

    return _search(reader, reader.list(FOLDER), b"" if chosen else wanted.encode("ascii"), made_it)


def _search(
    reader: Reader, among: Iterable[str], text: bytes, answers: Callable[[ModelRecord], bool]
) -> Found:
    """The records at the paths ``among`` that hold ``text`` and for which ``answers`` is true."""
    found: list[ModelRecord] = []
    broken: list[Broken] = []
    paths = [path for path in among if _place(path)[0]]
    for path, data in reader.read_many(paths).items():
        if text not in data:
            continue
        try:
            record = _record(data, path)
        except InvalidFile as error:
            broken.append(Broken(path, error.what))
            continue
        if answers(record):
            found.append(record)
    found.sort(key=lambda record: (record.model, -version_number(record.version)))
    return Found(tuple(found), tuple(sorted(broken, key=lambda one: one.path)))


def _record(data: bytes, path: str) -> ModelRecord:
    from datakeep.formats.model import ModelRecord  # late: a keep without an answer needs none

    record = ModelRecord.read(data, what=path)
    if record_path(record.model, record.version) != path:
        raise InvalidFile(
            f"{path} says that it is {record.model}@{record.version}",
            next_step=f"restore it from history: git log -- {path}",
        )
    return record


def _place(path: str) -> tuple[str, str]:
    """Model and version of a record's path; empty if it is another file."""
    parts = path.removeprefix(FOLDER).split("/")
    if len(parts) != 2 or not path.startswith(FOLDER) or not path.endswith(".yaml"):
        return "", ""
    model, version = parts[0], parts[1].removesuffix(".yaml")
    return (model, version) if NAME.fullmatch(model) and VERSION.fullmatch(version) else ("", "")
