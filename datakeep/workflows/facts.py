"""The facts of a manifest: which option states each, which are missing, and how they become a manifest.

One table, :data:`FACTS`, serves the command line, the questions on a terminal, and the error that lists all
that is missing; so the three can never disagree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from datakeep.core.errors import IncompleteManifest, InvalidFile, SecretFound, UsageError
from datakeep.core.secrets import find_secret
from datakeep.formats import yaml
from datakeep.formats.base import is_after
from datakeep.formats.manifest import Manifest, Personal, SourceKind
from datakeep.workflows.days import day_of
from datakeep.workflows.splits import stated_splits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from datakeep.formats.manifest import Source

Kind = Literal["text", "person", "people", "list", "file", "caveats", "choice", "splits"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a manifest states.

    Args:
        path: The dotted field of the manifest.
        option: The option that states it.
        meaning: What to write, for help, questions and errors.
        kind: How the option's text becomes the field's value.
        choices: The values that are allowed, for ``choice``.
    """

    path: str
    option: str
    meaning: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()


FACTS: tuple[Fact, ...] = (
    Fact("title", "--title", "a title for people"),
    Fact("purpose", "--purpose", "what the data is for, in one sentence"),
    Fact("owner", "--owner", "who answers for it: 'Name <mail>'", "person"),
    Fact(
        "stewards",
        "--steward",
        "who else can help: 'Name <mail>'; may be repeated, adds to those stated",
        "people",
    ),
    Fact("aliases", "--alias", "an earlier name; may be repeated, adds to those stated", "list"),
    Fact("task.target", "--target", "the column or label that is predicted"),
    Fact("task.metric", "--metric", "how success is measured, such as accuracy"),
    Fact("source.kind", "--source-kind", "where it comes from", "choice", get_args(SourceKind)),
    Fact("source.origin", "--origin", "where the files were taken from: system, person, device"),
    Fact("source.url", "--source-url", "the page that it was published on"),
    Fact("source.query", "--query", "the file with the SQL that extracted it", "file"),
    Fact("source.dialect", "--dialect", "the SQL dialect, such as postgres"),
    Fact("source.database", "--database", "the database, as a URL; a password in it is never written down"),
    Fact(
        "source.parents",
        "--parent",
        "a registered version it was derived from, as orders@v3; else a URL, or external:NAME; may be repeated",
        "list",
    ),
    Fact("source.command", "--source-command", "the command that derived it"),
    Fact("source.extracted_at", "--extracted-at", "the day or moment of the extraction, as 2026-11-20"),
    Fact("source.extracted_by", "--extracted-by", "who extracted it"),
    Fact("source.valid_from", "--valid-from", "the first day that it covers"),
    Fact("source.valid_to", "--valid-to", "the last day that it covers"),
    Fact("annotation.rules", "--annotation-rules", "the file with the rules of annotation", "file"),
    Fact("annotation.none", "--no-annotation", "why there are no annotations, or who labelled instead"),
    Fact("annotation.version", "--annotation-version", "the version of the rules"),
    Fact("annotation.tool", "--annotation-tool", "the tool that labels were made with"),
    Fact("annotation.classes", "--class", "a class of the labels; may be repeated", "list"),
    Fact("annotation.annotators", "--annotator", "who annotated; may be repeated", "list"),
    Fact(
        "splits",
        "--split",
        "the files of a split, as 'train=data/train/**'; may be repeated, replaces the split of that name",
        "splits",
    ),
    Fact(
        "splits.group", "--split-group", "the column whose values must not be in two splits, as customer_id"
    ),
    Fact("splits.time", "--split-time", "the column by which the splits follow each other in time"),
    Fact(
        "caveats",
        "--caveat",
        "something that misleads who does not know it; may be repeated, adds to those stated",
        "caveats",
    ),
    Fact("privacy.personal", "--privacy", "whether it holds personal data", "choice", get_args(Personal)),
    Fact("privacy.basis", "--privacy-basis", "on what basis personal data is kept"),
    Fact(
        "privacy.retention_until",
        "--retention-until",
        "the day until which it may be kept, as 2031-12-31; none takes it away",
    ),
    Fact("privacy.decided_by", "--privacy-decided-by", "who decided that"),
    Fact("license", "--license", "the licence, such as CC0-1.0 or internal"),
    Fact("access.how", "--access", "how a colleague gets access"),
    Fact("access.granted_by", "--access-granted-by", "who grants it"),
)
#: Stated one by one over the years: an option adds to them, and only a manifest file replaces them.
_ADDED = frozenset({"aliases", "stewards", "caveats", "splits"})
BY_PATH = {fact.path: fact for fact in FACTS}
_PERSON = re.compile(r"\s*([^<>]+?)\s*<([^<>\s]+@[^<>\s]+)>\s*")
#: What each kind of source must state beside the day.
_SOURCE_NEEDS = {
    "sql": ("query", "database"),
    "files": ("origin",),
    "capture": ("origin",),
    "derived": ("parents", "command"),
    "public": ("url",),
    "unknown": (),
}


def value_of(fact: Fact, given: Any) -> Any:
    """What the manifest holds for the text that an option was given.

    Raises:
        UsageError: A person is not written as ``Name <mail>``, or a choice does not exist.
    """
    if fact.kind == "person":
        return _person(fact, given)
    if fact.kind == "people":
        return [_person(fact, text) for text in given]
    if fact.kind == "caveats":
        return [{"what": text} for text in given]
    if fact.kind == "splits":
        return stated_splits(fact.option, given)
    if fact.kind == "list":
        return list(given)
    if fact.kind == "choice" and given not in fact.choices:
        raise UsageError(
            f"{fact.option} cannot be {given!r}",
            next_step=f"use one of {', '.join(fact.choices)} with {fact.option}",
        )
    return given


def _person(fact: Fact, text: str) -> dict[str, str]:
    match = _PERSON.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{fact.option} {text!r} is not a person",
            next_step=f"write {fact.option} 'Aiko Tanaka <aiko@corp.example>'",
        )
    return {"name": match[1], "email": match[2]}


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Set the dotted field ``path``; what stands between is made. New fields come in the model's order."""
    *parents, last = path.split(".")
    for name in parents:
        child = document.get(name)
        if not isinstance(child, dict):
            child = {}
            document[name] = child
        document = document[name]
    document[last] = value


def get(document: Mapping[str, Any], path: str) -> Any:
    """The dotted field ``path``; None where it, or anything on the way, is not there."""
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def state(document: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Write the facts ``given`` (dotted field to option's text) into the manifest ``document``.

    ``annotation.none`` and ``annotation.rules`` exclude each other: the one that is given replaces the other.
    Aliases, stewards, caveats and splits are added to those that are there.

    Raises:
        UsageError: A value is malformed, or both kinds of annotation are given.
    """
    if given.get("annotation.rules") and given.get("annotation.none"):
        raise UsageError(
            "--annotation-rules and --no-annotation exclude each other", next_step="give one of them"
        )
    if {"annotation.rules", "annotation.none"} & given.keys():
        old = document.get("annotation")
        kept = dict(old) if isinstance(old, dict) and "annotation.rules" in given else {}
        kept.pop("none", None)
        document["annotation"] = kept
    for path, text in given.items():
        value = _checked(BY_PATH[path], text)
        put(document, path, _added(get(document, path), value) if path in _ADDED else value)


def _checked(fact: Fact, given: Any) -> Any:
    """The fact's value, if a manifest can hold it: the error names the option, which nobody finds in a file.

    Raises:
        UsageError, InvalidFile: It cannot.
        SecretFound: It holds a password or token.
    """
    value = day_of(fact.option, fact.path, value_of(fact, given))
    alone: dict[str, Any] = {"format": Manifest.format_line(), "name": "name", "backend": "git"}
    put(alone, fact.path, value)
    check_writable(alone)
    try:
        Manifest.of(alone, what=fact.option)
    except InvalidFile as error:
        # Other fields are missing here, which does not matter.
        if faults := [line for line in error.things if line.startswith(fact.path)]:
            raise InvalidFile(
                f"{fact.option}: {faults[0]}",
                next_step=f"correct {fact.option}: {fact.meaning}",
                things=faults,
            ) from error
    return value


def _added(old: Any, new: Any) -> Any:
    """``old`` with what of ``new`` it lacks; a person, caveat or split that is there takes over what is given."""
    if isinstance(old, dict) and isinstance(new, dict):
        old.update(new)
        return old
    if not isinstance(old, list):
        return new
    there = {_key(item): item for item in old}
    for item in new:
        if _key(item) not in there:
            old.append(item)
            there[_key(item)] = item
        elif isinstance(item, dict):
            there[_key(item)].update(item)
    return old


def _key(item: Any) -> str:
    return str((item.get("email") or item.get("what")) if isinstance(item, dict) else item)


def missing(manifest: Manifest, require: Sequence[str]) -> list[Fact]:
    """The facts that the policy ``require`` asks for and the manifest does not state, not even as unknown."""
    found: dict[str, Fact] = {}
    for rule in require:
        for fact in _missing_of(manifest, rule):
            found.setdefault(fact.path, fact)
    return list(found.values())


def _missing_of(manifest: Manifest, rule: str) -> Iterator[Fact]:
    if rule == "source":
        yield from _missing_of_source(manifest.source)
    elif rule == "annotation":
        annotation = manifest.annotation
        if annotation is None or (
            not isinstance(annotation, str) and not (annotation.rules or annotation.none)
        ):
            meaning = "the file with the rules of annotation; or --no-annotation REASON if there are none"
            yield Fact("annotation.rules", "--annotation-rules", meaning, "file")
    elif rule == "access":
        if manifest.access is None:
            yield BY_PATH["access.how"]
    elif not get(manifest.to_dict(), rule):
        yield BY_PATH.get(rule, Fact(rule, "--manifest", f"the field {rule}, in a manifest file"))


def _missing_of_source(source: Source | None) -> Iterator[Fact]:
    if source is None:
        yield BY_PATH["source.kind"]
        yield BY_PATH["source.extracted_at"]
        return
    for name in (*_SOURCE_NEEDS[source.kind], "extracted_at"):
        if not getattr(source, name):
            yield BY_PATH[f"source.{name}"]


#: Asks a person for one fact: the fact, a suggestion or None, and why the last answer was refused, or None;
#: returns the text that was typed.
Ask: TypeAlias = "Callable[[Fact, str | None, str | None], str]"


def complete(
    document: dict[str, Any],
    require: Sequence[str],
    *,
    ask: Ask | None,
    suggestions: Mapping[str, str],
    command: str,
) -> Manifest:
    """The manifest in ``document``, once nothing that the policy requires is missing from it.

    Args:
        document: The manifest's fields; what is asked for is written into it.
        require: The policy's rules.
        ask: Asks a person for a fact; None where nobody can be asked.
        suggestions: Dotted field to what is probably right.
        command: What the user typed, without the missing options, for the next step.

    Raises:
        IncompleteManifest: Facts are missing and nobody can be asked; lists all of them.
        SecretFound, InvalidFile: A field holds a password or token, or what is not plain text; or two fields
            contradict each other.
    """
    check_writable(document)
    manifest = Manifest.of(document, what="the manifest")
    while needed := missing(manifest, require):
        if ask is None:
            lines = [f"{_usage(fact)}: {fact.meaning}" for fact in needed]
            count = "a fact is" if len(needed) == 1 else f"{len(needed)} facts are"
            raise IncompleteManifest(
                f"{document.get('name')}: {count} missing that this keep requires",
                next_step=f"{command} {' '.join(map(_usage, needed))}   ('unknown' is an answer, too)",
                things=lines,
            )
        for fact in needed:
            state(document, _answer(fact, suggestions.get(fact.path), ask))
        check_writable(document)
        manifest = Manifest.of(document, what="the manifest")
    if faults := manifest.contradictions():
        raise InvalidFile(
            f"{document.get('name')}: {faults[0]}",
            next_step="correct the dates (--valid-from, --valid-to, or those of the manifest file)",
            things=faults,
        )
    return manifest


def doubts(manifest: Manifest, now: datetime) -> list[str]:
    """What is stated and can hardly be: said, not refused, since clocks differ."""
    at = manifest.source.extracted_at if manifest.source else None
    if isinstance(at, date) and is_after(at, now):
        return [f"extracted_at, {at}, lies in the future; correct it with --extracted-at, if it is wrong"]
    return []


def _answer(fact: Fact, suggestion: str | None, ask: Ask) -> dict[str, Any]:
    """What a person states about the fact: asked again, with the reason, until it can be written down."""
    refused: str | None = None
    while True:
        text = ask(fact, suggestion, refused)
        if not text.strip():
            refused = "an answer is needed; 'unknown' is an answer, too"
            continue
        none, colon, reason = text.partition(":")
        if fact.path == "annotation.rules" and colon and none.strip().lower() == "none":
            stated, value = BY_PATH["annotation.none"], reason.strip()
        else:
            stated, value = fact, text
        given: Any = [value] if fact.kind in ("people", "list", "caveats", "splits") else value
        try:
            check_writable({stated.path: given})
            _checked(stated, given)
        except (UsageError, InvalidFile, SecretFound) as error:
            refused = error.what
            continue
        if stated.kind == "file" and value != "unknown" and not Path(value).is_file():
            way_out = "; if there are no rules, answer none: WHY" if stated.path == "annotation.rules" else ""
            refused = f"there is no file {value!r}{way_out}"
            continue
        return {stated.path: given}


def _usage(fact: Fact) -> str:
    if fact.kind == "choice":
        return f"{fact.option} '{'|'.join(fact.choices)}'"  # a shell would take | for a pipe
    return f"{fact.option} {'FILE' if fact.kind == 'file' else 'TEXT'}"


def check_writable(document: Mapping[str, Any], prefix: str = "") -> None:
    """Refuse a manifest, or anything else with named texts, that must not or cannot be written down.

    Raises:
        SecretFound: A field holds a password or token; names the field, never repeats the value.
        InvalidFile: A field holds what neither a file nor a terminal can show.
    """
    for key, value in document.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                check_writable(item, f"{prefix}{key}.")
            elif isinstance(item, str):
                _check_text(f"{prefix}{key}", item)


def _check_text(field: str, text: str) -> None:
    if secret := find_secret(text):
        raise SecretFound(
            f"the field {field} holds {secret}, which would be written down for good",
            next_step="leave it out; credentials come from the environment of whoever runs it",
        )
    if fault := yaml.unshowable(text):
        raise InvalidFile(f"the field {field} holds {fault}", next_step=f"write plain text for {field}")


def ordered(document: dict[str, Any]) -> dict[str, Any]:
    """A new manifest's fields in the order of the format; a file that exists keeps its own order."""
    order = {name: place for place, name in enumerate(Manifest.model_fields)}
    return dict(sorted(yaml.plain(document).items(), key=lambda item: order.get(item[0], len(order))))
