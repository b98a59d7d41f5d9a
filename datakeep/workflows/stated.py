"""What a manifest states, field by field; what it leaves out is said as plainly as what it says.

The law: ``unknown`` stays unknown, and what is missing is "not stated"; neither is ever shown as none.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datakeep.core.moments import shown
from datakeep.core.personal import PERSONAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.formats.manifest import Caveat, Extraction, Manifest, ReferenceTraining, Source

NOT_STATED = "not stated"
UNKNOWN = "unknown"
#: Beside the day and the person, what each kind of source should say.
_SOURCE_SAYS = {
    "sql": ("query", "dialect", "database", "parameters", "rows"),
    "files": ("origin",),
    "capture": ("origin",),
    "derived": ("parents", "command"),
    "public": ("url",),
    "unknown": (),
}


@dataclass(frozen=True, slots=True)
class Stated:
    """One field of a manifest, as text for a person; ``values`` has several where the field is a list."""

    field: str
    label: str
    values: tuple[str, ...]

    @property
    def is_known(self) -> bool:
        """Whether it says something."""
        return self.values not in ((NOT_STATED,), (UNKNOWN,))

    @property
    def text(self) -> str:
        """All values in one line."""
        return "; ".join(self.values)


def stated(manifest: Manifest) -> list[Stated]:
    """Everything that matters of a manifest, in reading order, gaps included."""
    return [
        *_what(manifest),
        *_source(manifest.source),
        *_annotation(manifest),
        *_splits(manifest),
        _several("caveats", "caveats", [_caveat(caveat) for caveat in manifest.caveats]),
        *(
            _one(f"capture.{key}", f"capture, {key}", value)
            for key, value in (manifest.capture or {}).items()
        ),
        *_rules(manifest),
        *_reference(manifest.reference),
    ]


def not_known(manifest: Manifest) -> list[str]:
    """A line for each field that is unknown or not stated."""
    return [f"{one.label}: {one.text}" for one in stated(manifest) if not one.is_known]


def _one(field: str, label: str, value: Any) -> Stated:
    return Stated(field, label, (_text(value),))


def _several(field: str, label: str, values: list[Any] | None) -> Stated:
    return Stated(field, label, tuple(map(_text, values)) if values else (NOT_STATED,))


def _text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return NOT_STATED
    if isinstance(value, dict):
        return ", ".join(f"{key} = {shown(child)}" for key, child in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return " ".join(shown(value).split())


def _what(manifest: Manifest) -> Iterator[Stated]:
    if manifest.title:
        yield _one("title", "title", manifest.title)
    yield _one("purpose", "purpose", manifest.purpose)
    yield _one("owner", "owner", manifest.owner)
    if manifest.stewards:
        yield _several("stewards", "stewards", list(manifest.stewards))
    if manifest.aliases:
        yield _several("aliases", "earlier names", list(manifest.aliases))
    task = manifest.task
    yield _one("task.target", "target", task.target if task else None)
    yield _one("task.metric", "metric", task.metric if task else None)


def _source(source: Source | None) -> Iterator[Stated]:
    if source is None:
        yield _one("source", "source", None)
        return
    yield _one("source.kind", "source", source.kind)
    names = _SOURCE_SAYS[source.kind]
    others = ("origin", "url", "database", "query", "dialect", "parameters", "parents", "command", "rows")
    for name in (*names, *(name for name in others if name not in names)):
        value = _parameters(source) if name == "parameters" else getattr(source, name)
        if value is not None or name in names:
            yield _one(f"source.{name}", f"source, {name}", value)
    if source.code:
        yield _one("source.code", "source, code", f"{source.code.url} at {source.code.commit}")
    if source.kind == "sql":
        yield from _extraction(source.extraction)
    yield _one("source.extracted_at", "extracted at", source.extracted_at)
    yield _one("source.extracted_by", "extracted by", source.extracted_by)
    if source.valid_from or source.valid_to:
        yield _one("source.valid", "covers", f"{source.valid_from or '…'} to {source.valid_to or '…'}")


def _parameters(source: Source) -> str | None:
    """What datakeep ran without any had none; of what somebody else ran it is not stated."""
    return source.parameters_shown() or ("none" if source.extraction else None)


def _extraction(extraction: Extraction | None) -> Iterator[Stated]:
    """How the query was run, and what it read; what a person states of a query has none of it."""
    if extraction is None:
        yield _one("source.extraction", "query run by", "a person says so; datakeep did not run it")
        return
    yield _one("source.extraction", "query run by", str(extraction))
    yield _several("source.extraction.tables", "tables read", [*map(str, extraction.tables)] or ["none"])
    if extraction.functions:
        called = [str(function) for function in extraction.functions]
        yield _several("source.extraction.functions", "functions called", called)
    if extraction.advice:
        yield _several("source.extraction.advice", "noted of the query", extraction.advice)


def _annotation(manifest: Manifest) -> Iterator[Stated]:
    annotation = manifest.annotation
    if annotation is None or isinstance(annotation, str):
        yield _one("annotation", "annotation", annotation)
    elif annotation.none is not None:
        yield _one("annotation.none", "not annotated", annotation.none)
    else:
        yield _one("annotation.rules", "annotation rules", annotation.rules)
        for name in ("version", "tool", "classes", "annotators", "corrections"):
            value = getattr(annotation, name)
            if value is not None:
                yield _one(f"annotation.{name}", f"annotation, {name}", value)


def _splits(manifest: Manifest) -> Iterator[Stated]:
    splits = manifest.splits
    if splits is None:  # most datasets have none, and need none
        return
    for name, patterns in splits.patterns.items():
        yield _several(f"splits.{name}", f"split {name}", patterns)
    for name, label in (("group", "splits, apart by"), ("time", "splits, in time by")):
        value = getattr(splits, name)
        if value is not None:
            yield _one(f"splits.{name}", label, value)


def _caveat(caveat: Caveat) -> str:
    where = f" where {caveat.where}" if caveat.where else ""
    dated = caveat.since or caveat.until
    return f"{caveat.what}{where}" + (f" ({caveat.since or '…'} to {caveat.until or 'now'})" if dated else "")


def _rules(manifest: Manifest) -> Iterator[Stated]:
    privacy, access = manifest.privacy, manifest.access
    yield _one("privacy.personal", "personal data", privacy.personal if privacy else None)
    matters = privacy is not None and privacy.personal in PERSONAL
    for name, label in (
        ("basis", "privacy basis"),
        ("retention_until", "kept until"),
        ("decided_by", "privacy decided by"),
    ):
        value = getattr(privacy, name) if privacy else None
        if value is not None or matters:
            yield _one(f"privacy.{name}", label, value)
    yield _one("license", "licence", manifest.license)
    yield _one("access.how", "access", access.how if access else None)
    yield _one("access.granted_by", "access granted by", access.granted_by if access else None)
    if manifest.documents:
        documents = [f"{one.title} ({one.path or one.url or NOT_STATED})" for one in manifest.documents]
        yield _several("documents", "documents", documents)


def _reference(reference: ReferenceTraining | None) -> Iterator[Stated]:
    if reference is None:
        yield _one("reference", "reference training", None)
        return
    code = reference.code
    shown = code if isinstance(code, str) else f"{code.url} at {code.commit}"
    yield _one("reference.command", "reference training", shlex.join(reference.argv()))
    yield _one("reference.code", "training code", shown)
    environment = reference.environment
    lock = environment.lock or environment.requirements or environment.image
    yield _one(
        "reference.environment", "training environment", f"{lock}, python {environment.python or UNKNOWN}"
    )
    expected = [f"{name} {one.value} (±{one.tolerance})" for name, one in reference.expect.items()]
    yield _several("reference.expect", "expected", expected)
