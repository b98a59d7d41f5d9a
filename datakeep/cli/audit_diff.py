"""``datakeep audit --diff``: how the answer is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_INCOMPLETE, EXIT_NO
from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session, table
from datakeep.cli.tampered_lines import distrusted, unless_deleted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.workflows.audit_diff import Metric, ModelDiff, Section

_NUMBERS = ("nothing", "one thing", "two things", "three things", "four things", "five things", "six things")
_SHOWN = 20


def answer(session: Session, subjects: Sequence[str], *, fetch: bool) -> Answer:
    """What differs between two models; 0 if nothing does, 4 if that cannot be told."""
    from datakeep.workflows.audit_diff import audit_diff
    from datakeep.workflows.tampering import behind_some

    if len(subjects) != 2:
        raise click.UsageError("--diff compares two models: datakeep audit --diff churn@v6 churn@v7")
    keep = session.keep()

    def question() -> Answer:
        found = audit_diff(keep, *subjects, fetch=fetch)
        sides = zip(subjects, (found.old, found.new), strict=True)
        newest = [f"models/{record.model}/" for subject, record in sides if "@" not in subject]
        changed = behind_some(keep, (found.old, found.new), (), now=datetime.now(UTC), below=newest)
        answered = Answer(_data(found), list(_lines(found, fetch=fetch)), _code(found))
        return distrusted(answered, changed)

    return unless_deleted(keep, subjects, question)


def _code(found: ModelDiff) -> int:
    if found.is_one_record:
        return 0
    if found.differs:
        return EXIT_NO
    return 0 if found.is_same else EXIT_INCOMPLETE


def _lines(found: ModelDiff, *, fetch: bool) -> Iterator[str]:
    yield click.style(f"{found.old.label} → {found.new.label}", bold=True)
    for record, also in zip((found.old, found.new), found.also, strict=True):
        if also:
            others = ", ".join(also)
            yield f"other records have the same file as {record.label}: {others}; name one of them to compare it"
    if found.is_one_record:
        yield "the same record"
        return
    for record in (found.old, found.new):
        if record.status == "failed":
            yield f"{record.label} FAILED ({record.failure or 'reason unknown'})"
    for section in found.sections:
        yield from _section_lines(section)
    yield from _metric_lines(found.metrics)
    yield from _file_lines(found)
    if found.unknown:
        yield "not known, and so perhaps changed too:"
        yield from some(found.unknown, mark="?")
    if found.nowhere:
        yield f"known of neither: {', '.join(found.nowhere)}"
    yield _verdict(found)
    if len(found.causes) > 1 and any(not metric.is_same for metric in found.metrics):
        yield "  so these two do not tell which of them moved the metrics"
    yield from _next_lines(found, fetch=fetch)


def _section_lines(section: Section) -> Iterator[str]:
    if section.changed:
        yield f"{section.name}:"
        yield from some(section.changed, mark="~", limit=_SHOWN)
        yield from some(section.same, mark="=", limit=_SHOWN)
    elif section.unknown:
        yield f"{section.name}: what is known is the same"
        yield from some(section.same, mark="=", limit=_SHOWN)
    elif section.nowhere and not section.same and section.name in ("seeds", "code", "parameters"):
        yield f"{section.name}: not known"
    else:
        shown = f" ({'; '.join(section.same[:3])})" if section.same else ""
        yield f"{section.name}: same{shown}"


def _metric_lines(metrics: Sequence[Metric]) -> Iterator[str]:
    if not metrics:
        yield "metrics: none recorded"
        return
    yield "metrics:"
    rows = [(one.name, one.old or "none", "→", one.new or "none", _moved(one)) for one in metrics]
    yield from (f"  {line}" for line in table(rows))


def _file_lines(found: ModelDiff) -> Iterator[str]:
    if found.files:
        yield "files of the models:"
        yield from some(found.files, mark="~", limit=_SHOWN)
    elif found.old.artifacts and found.new.artifacts:
        yield "files of the models: the same bytes"


def _moved(metric: Metric) -> str:
    if metric.is_same:
        return "same"
    return f"({metric.difference:+f})" if metric.difference is not None else ""


def _verdict(found: ModelDiff) -> str:
    causes = found.causes
    if causes:
        unsure = ", as far as is known" if found.unknown else ""
        return click.style(f"{_NUMBERS[len(causes)]} changed: {', '.join(causes)}", bold=True) + unsure
    moved = "the metrics" if any(not metric.is_same for metric in found.metrics) else ""
    moved = moved or ("the models' files" if found.files else "")
    if found.unknown or found.untold:
        yet = f", and yet {moved} differ" if moved else ": whether they are the same is not known"
        return f"nothing that is known of both changed{yet}"
    if moved:
        return f"nothing that is recorded changed, and yet {moved} differ: chance, or something unrecorded"
    return "same: nothing that is recorded differs"


def _next_lines(found: ModelDiff, *, fetch: bool) -> Iterator[str]:
    if not fetch and any("not on this machine" in line for line in found.unknown):
        yield f"next: datakeep audit --diff {found.old.label} {found.new.label} --fetch"
    steps = [one.next_step for one in found.datasets if one.next_step]
    if steps:
        yield f"next: {steps[0]}"


def _data(found: ModelDiff) -> dict[str, Any]:
    return {
        "old": found.old.label,
        "new": found.new.label,
        "same": found.is_same or found.is_one_record,
        "changed": list(found.causes),
        "known": found.is_same or found.differs or found.is_one_record,
        "files": list(found.files),
        "same_file": {"old": list(found.also[0]), "new": list(found.also[1])},
        "sections": {
            section.name: {
                "changed": list(section.changed),
                "same": list(section.same),
                "unknown": list(section.unknown),
                "known_of_neither": list(section.nowhere),
                **section.details,
            }
            for section in found.sections
        },
        "metrics": {
            metric.name: {
                "old": metric.old,
                "new": metric.new,
                "difference": None if metric.difference is None else f"{metric.difference:f}",
            }
            for metric in found.metrics
        },
    }
