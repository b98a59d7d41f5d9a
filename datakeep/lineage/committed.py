"""The committed files that the index is made of: which they are, what each says, and the words to find it by.

A file that cannot be read is in the index as broken, with the reason, so that it never counts as absent.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from datakeep.core.errors import InvalidFile
from datakeep.core.names import NAME, VERSION, version_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.formats.base import Document

Kind = Literal["dataset", "model", "person", "proof"]
#: What of a keep is in the index.
PREFIXES = ("register/", "models/", "people/", "proofs/")
_KINDS: dict[str, Kind] = {"register": "dataset", "models": "model", "people": "person", "proofs": "proof"}
_WORD = re.compile(r"\w+")
#: A longer text is cut: what it is about stands at its beginning.
_MAX_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """What a path of the keep stands for; ``number`` is that of the version, 0 where there is none."""

    kind: Kind
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Told:
    """What one committed file says: its fields as plain JSON types, or why it cannot be read.

    ``unfit`` says why the manifest of a version, whose entry can be read, is none.
    """

    place: Place
    data: dict[str, Any] | None = None
    fault: str | None = None
    unfit: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Something to be found by: what it is (``title``, ``column`` …), and the text itself."""

    field: str
    text: str


def place_of(path: str) -> Place | None:
    """What the index calls a file of the keep; None if it does not belong there."""
    folder, _, rest = path.partition("/")
    kind = _KINDS.get(folder)
    parts = rest.split("/")
    if kind == "person":
        handle = rest.removesuffix(".yaml")
        return Place(kind, handle, 0) if rest.endswith(".yaml") and "/" not in rest else None
    if kind == "proof":
        if len(parts) != 3 or not VERSION.fullmatch(parts[1]):
            return None
        return Place(kind, parts[0], version_number(parts[1]))
    if kind is None or len(parts) != 2 or not parts[1].endswith(".yaml"):
        return None
    version = parts[1].removesuffix(".yaml")
    fits = bool(VERSION.fullmatch(version)) and (kind == "dataset" or bool(NAME.fullmatch(parts[0])))
    return Place(kind, parts[0], version_number(version)) if fits else None


def told(path: str, place: Place, text: bytes) -> Told:
    """What the file at ``path`` says. Of a proof only its name counts: what it is worth is judged elsewhere."""
    if place.kind == "proof":
        return Told(place, {})
    from datakeep.formats import yaml

    try:
        data = yaml.load_plain(text, what=path)
        document = _formats()[place.kind].of_plain(data, what=path)
    except InvalidFile as error:
        return Told(place, None, error.what)
    said = _says_it_is(document, place.kind)
    if said not in (None, f"{place.name}@v{place.number}"):
        return Told(place, None, f"{path} says that it is {said}")
    return Told(place, data, unfit=_unfit(document))


def _unfit(document: Any) -> str | None:
    if hasattr(document, "manifest_model"):
        try:
            document.manifest_model()
        except InvalidFile as error:
            return error.what
    return None


@cache
def _formats() -> dict[
    str, type[Document]
]:  # imported late: a question about an index that is there needs none
    from datakeep.formats.model import ModelRecord
    from datakeep.formats.person import Person
    from datakeep.formats.version import VersionEntry

    return {"dataset": VersionEntry, "model": ModelRecord, "person": Person}


def _says_it_is(document: Any, kind: Kind) -> str | None:
    return f"{getattr(document, kind)}@{document.version}" if kind in ("dataset", "model") else None


def texts(place: Place, data: dict[str, Any]) -> Iterator[Text]:
    """What the subject of a file is found by, besides its name; each text is cut to a bounded length."""
    makers = {"dataset": _of_dataset, "model": _of_model, "person": _of_person}
    for field, text in makers[place.kind](data) if place.kind in makers else ():
        if shown := text.strip()[:_MAX_TEXT]:
            yield Text(field, shown)


def _of_dataset(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    manifest = _mapping(data.get("manifest"))
    source, annotation = _mapping(manifest.get("source")), _mapping(manifest.get("annotation"))
    for field, value in (
        ("alias", manifest.get("aliases")),
        ("title", manifest.get("title")),
        ("purpose", manifest.get("purpose")),
        ("target", _mapping(manifest.get("task")).get("target")),
        ("table", source.get("tables")),
        ("query", source.get("query")),
        ("database", source.get("database")),
        ("person", [manifest.get("owner"), manifest.get("stewards"), annotation.get("annotators")]),
        ("person", [source.get("extracted_by"), data.get("registered_by")]),
        ("class", annotation.get("classes")),
        ("annotation", [annotation.get("tool"), annotation.get("none")]),
        ("caveat", [_caveat(one) for one in manifest.get("caveats") or []]),
        ("capture", manifest.get("capture")),
        ("access", manifest.get("access")),
        ("license", manifest.get("license")),
    ):
        yield from ((field, text) for text in _strings(value))
    for table in _mapping(source.get("extraction")).get("tables") or []:
        yield from _of_table(_mapping(table))
    for column in manifest.get("columns") or []:
        if isinstance(column, dict):
            meaning = f": {column['meaning']}" if column.get("meaning") else ""
            yield "column", f"{column.get('name', '')}{meaning}"


def _of_table(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A table that a query read, and what of it: each under the name of what it is."""
    name = str(table.get("name", ""))
    comment = f": {table['comment']}" if table.get("comment") else ""
    yield "table", f"{name}{comment}"
    columns = table.get("columns")
    for column in columns if isinstance(columns, list) else []:
        yield "column", f"{name}.{column}"
    for field, value in (("SQL", table.get("definition")), ("person", table.get("owner"))):
        yield from ((field, text) for text in _strings(value))
    for file in table.get("files") or []:
        yield from (("file", text) for text in _strings(_mapping(file).get("path")))


def _caveat(value: Any) -> str:
    """A caveat and the range that it holds for, as one text."""
    said = _mapping(value)
    return "; ".join(text for name in ("what", "where") if isinstance(text := said.get(name), str))


def _of_model(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for artifact in data.get("artifacts") or []:
        yield "file", str(_mapping(artifact).get("path", ""))
    for given in data.get("inputs") or []:
        yield "dataset", str(_mapping(given).get("dataset", ""))
    yield from (("base model", text) for text in _strings(data.get("base_models")))
    yield from (("person", text) for text in _strings(data.get("recorded_by")))


def _of_person(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "person", f"{data.get('name', '')} <{data.get('email', '')}>"


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _strings(value: Any) -> Iterator[str]:
    """Every text in ``value``; a person (``name`` and ``email``) is one text."""
    if isinstance(value, dict):
        if {"name", "email"} <= set(value):
            yield f"{value['name']} <{value['email']}>"
        else:
            yield from (text for one in value.values() for text in _strings(one))
    elif isinstance(value, list):
        yield from (text for one in value for text in _strings(one))
    elif isinstance(value, str):
        yield value


def to_json(data: dict[str, Any]) -> str:
    """``data`` as the index keeps it; :func:`json.loads` gives the same values back."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def seconds(stated: Any) -> float | None:
    """A stated time in seconds since 1970, by UTC where it names no zone; None where it is none."""
    try:
        at = datetime.fromisoformat(str(stated))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def folded(text: str) -> str:
    """``text`` as it is compared: full-width as half-width, and without case."""
    return unicodedata.normalize("NFKC", text).casefold()


def words(text: str) -> list[str]:
    """The words of a folded text, in order; a run of Japanese is one."""
    return _WORD.findall(text)
