"""``datakeep audit``."""

from __future__ import annotations

from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.audit_export import Export, export_options, exported
from datakeep.cli.audit_used import broken_lines, called, file_data, file_lines, used_data, used_lines
from datakeep.cli.boundary import EXIT_INCOMPLETE, EXIT_NO
from datakeep.cli.rendering import fact_lines, proof_data, proof_lines, some
from datakeep.cli.session import Answer, Session, table
from datakeep.cli.session import command as answering
from datakeep.cli.tampered_lines import distrusted, unless_deleted
from datakeep.cli.undeclared_lines import reader_lines, same_rows
from datakeep.core.counts import counted
from datakeep.core.unstated import grouped
from datakeep.formats.model_words import model_rows, read_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from datakeep.formats.model import ModelRecord
    from datakeep.workflows.audit import Audit
    from datakeep.workflows.made_of import InputFacts, MadeOf
    from datakeep.workflows.used_by import FileUsedBy, UsedBy

_INDENT = "  "
_BASE_HEADS = {
    "base": "base model",
    "named": "base model",
    "left": "read a file that it left",
    "same": "the same model",
}
#: Whether a file was a dataset's before a training left it.
_FIRST = {
    True: "registered before a training was recorded to have left it",
    False: "registered after a training was recorded to have left it",
    None: "whether before or after a training left it is not known",
}


@answering(name="audit")
@click.argument("subjects", metavar="[MODEL-FILE | SHA256 | MODEL[@V] | DATASET[@V][:PATH]]…", nargs=-1)
@click.option("--fetch", is_flag=True, help="Get what is not here: file lists, and for --where the data.")
@click.option(
    "--where",
    metavar="CONDITION",
    help="Which rows: COLUMN = VALUE, or COLUMN IN (…), joined by AND; - reads it from standard input.",
)
@click.option("--rehash", is_flag=True, help="With --where: hash each Parquet file before it is believed.")
@click.option("--diff", is_flag=True, help="Compare two models: what was changed, and the metrics.")
@click.option("--policy", is_flag=True, help="Judge all models of the keep by their data; for CI.")
@export_options
def command(
    session: Session,
    subjects: tuple[str, ...],
    fetch: bool,
    where: str | None,
    rehash: bool,
    diff: bool,
    policy: bool,
    export: Export,
) -> Answer:
    r"""Tell what a model was made of: every dataset, version and rule, code, environment and metrics.

    A model is found by its file, whatever the file is called now, by its sha256 (or 8 digits of it and more), or by
    its name. For a dataset, or one file of it: which models it went into, directly, through base models, and through
    derived datasets. Exit code 3: the keep has no record of it, or what the answer comes from, or could have come
    from, was changed or deleted since it was recorded; 4: it is not known, since not all could be searched.

    --where asks the same of rows, by their values; 3: there are none, 4: none in what could be searched. --diff tells
    what differs between two models; 3: something, 4: not all is known. --policy names models whose data is unowned,
    unproven, expired, of unknown privacy, undeclared, or of a test split; 3: there is one.

    \b
    Example:
      datakeep audit ~/Downloads/model.joblib
      datakeep audit model:churn@v7
      datakeep audit dataset:orders
      datakeep audit orders@v3:train/a.csv
      datakeep audit orders --where "customer_id = 4711"
      datakeep audit --diff churn@v6 churn@v7
      datakeep audit --policy
      datakeep audit model:churn --html churn.html
      datakeep audit model:churn --format cyclonedx --output churn.cdx.json
    """
    chosen = [
        name
        for name, given in (("--where", where is not None), ("--diff", diff), ("--policy", policy))
        if given
    ]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} are questions of their own: ask one at a time")
    if chosen and (export.html or export.form):
        raise click.UsageError(
            f"{chosen[0]} answers on the terminal and as --json: leave out --html and --format"
        )
    if rehash and where is None:
        raise click.UsageError("--rehash belongs to --where")
    if where is not None:
        from datakeep.cli import audit_where

        return audit_where.answer(session, where, subjects, fetch=fetch, rehash=rehash)
    if diff:
        from datakeep.cli import audit_diff

        return audit_diff.answer(session, subjects, fetch=fetch)
    if policy:
        from datakeep.cli import audit_policy

        return audit_policy.answer(session, subjects)
    if len(subjects) != 1:
        raise click.UsageError("name one model file, model, dataset or file of one; --diff takes two models")
    return _made_or_used(session, subjects[0], export, fetch=fetch)


def _made_or_used(session: Session, subject: str, export: Export, *, fetch: bool) -> Answer:
    from datakeep.workflows.audit import audit
    from datakeep.workflows.tampering import behind_an_audit

    export.check(as_json=session.as_json)
    keep, now = session.keep(), datetime.now(UTC)

    def question() -> Answer:
        found = audit(keep, subject, now=now, fetch=fetch)
        changed = behind_an_audit(keep, found, now=now)
        shown = distrusted(_answer(found, subject, as_json=session.as_json), changed)
        return exported(keep, found, subject, shown, export, now, changed)

    return unless_deleted(keep, [subject], question)


def _answer(found: Audit | UsedBy | FileUsedBy, subject: str, *, as_json: bool) -> Answer:
    """The answer, for a machine or for the terminal: what is not printed is not made."""
    from datakeep.workflows.audit import Audit
    from datakeep.workflows.used_by import FileUsedBy

    data: Callable[[Any], dict[str, Any]] = _data
    lines: Iterable[str]
    if isinstance(found, FileUsedBy):
        code = EXIT_INCOMPLETE if found.not_searched or found.unread or found.is_blind else 0
        data, lines = file_data, file_lines(found, subject)
    elif not isinstance(found, Audit):
        code = EXIT_INCOMPLETE if found.is_blind else 0
        data, lines = used_data, used_lines(found)
    elif found.made_of:
        code, lines = EXIT_INCOMPLETE if found.newer_unread else 0, _lines(found, subject)
    else:
        unsure = EXIT_INCOMPLETE if found.not_searched or found.broken else EXIT_NO
        code, lines = 0 if found.files or found.undeclared else unsure, _unknown_lines(found, subject)
    return Answer(data(found), [], code) if as_json else Answer({}, [*lines], code)


def _unknown_lines(found: Audit, subject: str) -> Iterator[str]:
    if found.files:
        yield f"{found.asked}: no model's file on record; it is a registered dataset's own"
        yield f"  sha256 {found.sha256}"
        yield from _file_lines(found, subject)
        yield from _unsearched_lines(found, subject)
        return
    if found.undeclared:
        yield f"{found.asked}: no model's file on record, and no registered file that is known here"
        yield f"  sha256 {found.sha256}"
        yield from reader_lines(found.undeclared)
        yield from broken_lines(found)
        yield from _unsearched_lines(found, subject)
        yield f"next: datakeep audit model:{found.undeclared[0].model}"
        return
    yield f"{found.asked}: not known: the keep has no readable record of it"
    if found.sha256:
        yield f"  sha256 {found.sha256}"
    yield from broken_lines(found)
    yield from _unsearched_lines(found, subject)
    if found.guesses:
        yield "a guess, no more: a model that was saved again has other bytes; the nearest on record are"
        yield from some(found.guesses, mark="~")
    yield (
        "next: ask who made the file for the keep that its training was recorded in; what datakeep run or "
        "datakeep verify trains is recorded, and datakeep record takes what somebody knows of another"
    )


def _file_lines(found: Audit, subject: str) -> Iterator[str]:
    """What datasets have of its bytes, and which of them nobody looked at."""
    for file in found.files:
        yield from file_lines(file, subject)
    if found.not_looked_at:
        yield "not looked at, whose models may be more:"
        yield from some(found.not_looked_at, mark="?")


def _unsearched_lines(found: Audit, subject: str) -> Iterator[str]:
    if found.not_searched:
        whose = "another" if found.files else "a"
        yield f"whether it is {whose} registered dataset's own file was not searched in {found.not_searched}"
        yield f"  datakeep audit {quote(subject)} --fetch gets them"


def _lines(found: Audit, subject: str) -> Iterator[str]:
    if found.made_of is None:
        return
    if found.sha256:
        yield f"{found.asked}: sha256 {found.sha256}"
    if found.differing:
        yield click.style("the records of this file name different data:", fg="yellow")
        yield from some(found.differing, mark="!")
        which = "the newest that was completed, of those that were seen if there are any"
        yield f"what follows is {called(found.made_of.record)}, {which}"
    if found.newer_unread:
        newer = ", ".join(found.newer_unread)
        what = f"{newer} of it cannot be read; what follows is {called(found.made_of.record)}, the newest that can be"
        yield click.style(what, fg="yellow")
    yield from _made_lines(found.made_of, "", set())
    if found.same_file:
        yield f"the same file is also recorded as {', '.join(found.same_file)}"
    yield from reader_lines(found.undeclared)
    if found.files:
        named = ", ".join(f"{one.dataset}@{one.versions[0]}" for one in found.files if one.versions)
        yield f"it is a registered dataset's own file too: {named}, {_FIRST[found.registered_first]}"
    yield from _file_lines(found, subject)
    yield from _unsearched_lines(found, subject)
    yield from broken_lines(found)
    made = found.made_of
    read = [one.given for one in made.inputs if one.entry and not made.record.read_nothing_of(one.given)]
    if read:
        yield f"next: datakeep checkout {read[0].dataset}@{read[0].version} DEST gets its data"


def _made_lines(made: MadeOf, indent: str, told: set[str]) -> Iterator[str]:
    record = made.record
    yield indent + click.style(f"model {record.model}@{record.version}", bold=True)
    rows = [*map(_styled, model_rows(record)), *same_rows(made.same)]
    yield from (indent + _INDENT + line for line in table(rows))
    for given in made.inputs:
        yield from _input_lines(given, indent + _INDENT, told, record)
    for copied in made.copies:
        yield from _input_lines(copied, indent + _INDENT, told, how="read without being declared")
    for base in made.base_models:
        yield f"{indent}{_INDENT}{_BASE_HEADS[base.how]}{f' ({base.because})' if base.because else ''}:"
        yield from _made_lines(base, indent + 2 * _INDENT, told)
    yield f"{indent}{_INDENT}not known:"
    yield from (
        indent + _INDENT + line
        for line in some(grouped(made.unknown) or ["nothing is said to be"], mark="?", limit=50)
    )


def _styled(row: tuple[str, str]) -> tuple[str, str]:
    """A training that failed stands out."""
    label, text = row
    failed = label == "status" and text.startswith("FAILED")
    return (
        (label, click.style("FAILED", fg="red", bold=True) + text.removeprefix("FAILED")) if failed else row
    )


def _input_lines(
    found: InputFacts, indent: str, told: set[str], record: ModelRecord | None = None, how: str | None = None
) -> Iterator[str]:
    """A dataset version; what is ``told`` already, as of a parent of two, is named only."""
    given = found.given
    yield (
        indent + click.style(f"dataset {given.dataset}@{given.version}", bold=True) + f" ({how or given.how})"
    )
    inner = indent + _INDENT
    rows = [("commit", given.commit), ("content id", given.content)]
    if given.because:
        rows.append(("because", given.because))
    if given.files_read:
        rows.append(("extent", read_in_words(given, record)))
    rows += [("left by", f"model {one.model} ({counted(one.files, 'file')})") for one in found.makers]
    if found.newer:
        rows.append(("newer", f"{found.newer} is the newest version now"))
    yield from (inner + line for line in table(rows))
    name = f"{given.dataset}@{given.version}"
    if name in told and found.entry:
        yield f"{inner}(what is known of {name} stands above)"
        return
    told.add(name)
    yield from fact_lines([one for one in found.facts if one.is_known], indent=inner)
    for what, text in (("SQL", found.query), ("annotation rules", found.rules)):
        if text is not None:
            yield f"{inner}{what}:"
            yield from (f"{inner}  | {line}" for line in text.rstrip().splitlines())
    if found.proofs is not None:
        yield from proof_lines(found.proofs, indent=inner)
    if found.unknown:
        yield f"{inner}not known:"
        yield from (f"{inner}  ? {line}" for line in grouped(found.unknown))
    for parent in found.parents:
        yield f"{inner}derived from:"
        yield from _input_lines(parent, inner + _INDENT, told)
    yield from _maker_lines(found, inner, told)


def _maker_lines(found: InputFacts, indent: str, told: set[str]) -> Iterator[str]:
    """Who left files of a version; a run whose data stands above, as one of a hundred nightly ones, is one line."""
    for made in (one.made for one in found.makers if one.made):
        label = made.record.label
        if f"model:{label}" in told:
            continue
        told.add(f"model:{label}")
        data = [f"{one.given.dataset}@{one.given.version}" for one in (*made.inputs, *made.copies)]
        if data and not made.base_models and told.issuperset(data):
            yield f"{indent}files of it were left by model {label}, which was given {', '.join(data)}: see above"
            continue
        yield f"{indent}files of it were left by:"
        yield from _made_lines(made, indent + _INDENT, told)


def _data(found: Audit) -> dict[str, Any]:
    return {
        "asked": found.asked,
        "sha256": found.sha256,
        "known": found.made_of is not None,
        "model": _made_data(found.made_of) if found.made_of else None,
        "same_file": list(found.same_file),
        "differing": list(found.differing),
        "registered_files": [file_data(one) for one in found.files],
        "registered_first": found.registered_first,
        "not_searched": [str(found.not_searched)] if found.not_searched else [],
        "read_undeclared": [
            {"model": one.model, "at": list(one.at), "sure": one.is_sure} for one in found.undeclared
        ],
        "not_looked_at": list(found.not_looked_at),
        "guesses": list(found.guesses),
        "broken": [{"path": one.path, "reason": one.reason} for one in found.broken],
        "newer_unread": list(found.newer_unread),
    }


def _made_data(made: MadeOf) -> dict[str, Any]:
    return {
        "record": made.record.to_dict(),
        "datasets": [_input_data(given) for given in made.inputs],
        "copies": [_input_data(copied) for copied in made.copies],
        "base_models": [
            {**_made_data(base), "how": base.how, "because": base.because} for base in made.base_models
        ],
        "same_bytes": dict(made.same),
        "unknown": list(made.unknown),
    }


def _input_data(found: InputFacts) -> dict[str, Any]:
    return {
        "given": found.given.to_dict(),
        "entry": found.entry.to_dict() if found.entry else None,
        "query": found.query,
        "annotation_rules": found.rules,
        "proof": proof_data(found.proofs) if found.proofs is not None else None,
        "newest": found.newer,
        "unknown": list(found.unknown),
        "parents": [_input_data(parent) for parent in found.parents],
        "left_by": [
            {"model": one.model, "files": one.files, "made_of": _made_data(one.made) if one.made else None}
            for one in found.makers
        ],
    }
