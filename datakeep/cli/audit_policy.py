"""``datakeep audit --policy``: how the answer is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session, table
from datakeep.cli.tampered_lines import distrusted
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.workflows.audit_policy import Complaint, Policy

_HEADS = {
    "broken": "cannot be read",
    "unowned": "unowned",
    "unproven": "unproven",
    "expired": "expired",
    "privacy": "of unknown privacy",
    "undeclared": "read from undeclared inputs",
    "test-split": "trained on a test split",
    "test-read": "read a test split beside other data: trained on it, or only scored",
}
_MODELS = 4
_SHOWN = 50


def answer(session: Session, subjects: Sequence[str]) -> Answer:
    """What is not in order with the data of the keep's models; 3 if anything is."""
    from datakeep.workflows.audit_policy import audit_policy

    if subjects:
        raise click.UsageError("--policy judges all models of the keep: name none")
    found = audit_policy(session.keep(), now=datetime.now(UTC))
    answered = Answer(_data(found), list(_lines(found)), EXIT_NO if found.complaints else 0)
    return distrusted(answered, found.changed)


def _lines(found: Policy) -> Iterator[str]:
    told = [one for one in found.complaints if one.kind != "tampered"]  # those stand before all else
    for kind, of_kind in groupby(told, key=lambda one: one.kind):
        complaints = list(of_kind)
        yield click.style(f"{_HEADS[kind]}:", bold=True)
        for one in complaints[:_SHOWN]:
            yield f"  ! {one.about}: {one.what}"
            if one.models:
                yield f"      models: {_models(one.models)}"
            yield f"      next: {one.next_step}"
        if len(complaints) > _SHOWN:
            yield f"  … and {len(complaints) - _SHOWN:,} more (all with --json)"
    yield from _test_lines(found)
    yield from _scored_lines(found)
    if found.unseen:
        yield f"what else they read was not fully observed: {_models(found.unseen)}"
    if found.unknown_files:
        yield f"which files of their data they read is not fully known: {_models(found.unknown_files)}"
    yield from some([f"not looked at: {one}" for one in found.not_looked_at], mark="-", limit=_MODELS)
    yield _verdict(found)


def _models(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MODELS:,} more" if len(names) > _MODELS else ""
    return ", ".join(names[-_MODELS:]) + more


def _test_lines(found: Policy) -> Iterator[str]:
    if not found.test_reads:
        return
    yield "recorded runs that read a test split:"
    ranked = sorted(found.test_reads, key=lambda one: -one.reading)
    rows = [
        (
            one.dataset,
            ", ".join(one.splits),
            f"read by {one.reading:,} of {counted(one.runs, 'run')}"
            + (f", and perhaps by {one.unknown:,} more" if one.unknown else ""),
        )
        for one in ranked[:_SHOWN]
    ]
    yield from (f"  {line}" for line in table(rows))
    if len(ranked) > _SHOWN:
        yield f"  … and {len(ranked) - _SHOWN:,} more (all with --json)"


def _scored_lines(found: Policy) -> Iterator[str]:
    """What is no complaint since the order was seen; it says nothing of why this model was kept."""
    if found.scored:
        yield "read a test split only after the model was written, which is no complaint:"
        lines = [f"{one.model}: {one.about}, {one.what}" for one in found.scored]
        yield from some(lines, mark="-", limit=_MODELS)


def _verdict(found: Policy) -> str:
    failed = f" ({counted(found.failed, 'failed training')} left out)" if found.failed else ""
    if found.complaints:
        models = {model for one in found.complaints for model in one.models}
        return (
            f"{counted(len(found.complaints), 'complaint')}; {len(models):,} of "
            f"{counted(found.models, 'model')} concerned{failed}"
        )
    if not found.models:
        return f"no recorded model{failed}: nothing to judge"
    count = f"all {found.models:,} models" if found.models > 1 else "the one model"
    blind = "; " + "see above what was not fully observed" if found.unseen or found.unknown_files else ""
    before = " before the model was written" if found.scored else ""
    return (
        f"{count}: data owned, proven, not expired, of known privacy, declared, "
        f"and no test split was read beside other data{before}"
        f"{blind}{failed}"
    )


def _data(found: Policy) -> dict[str, Any]:
    return {
        "passed": not found.complaints,
        "models": found.models,
        "failed_trainings": found.failed,
        "complaints": [_complaint(one) for one in found.complaints],
        "test_splits": [
            {
                "dataset": one.dataset,
                "splits": list(one.splits),
                "runs_reading": one.reading,
                "runs_not_known": one.unknown,
                "runs": one.runs,
            }
            for one in found.test_reads
        ],
        "scored_after": [{"model": one.model, "about": one.about, "what": one.what} for one in found.scored],
        "not_observed": list(found.unseen),
        "files_not_known": list(found.unknown_files),
        "not_looked_at": list(found.not_looked_at),
    }


def _complaint(one: Complaint) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "about": one.about,
        "what": one.what,
        "models": list(one.models),
        "next": one.next_step,
    }
