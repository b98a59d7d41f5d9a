"""``datakeep fsck``."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.workflows.fsck_report import Fsck, InStore

_SHOWN = 10
_UNITS_S = {"s": 1, "m": 60, "h": 3600}


class _Duration(click.ParamType[float]):
    """``90s``, ``30m``, ``2h``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"([1-9][0-9]{0,6})([smh])", str(value))
        if found is None:
            self.fail(f"{value!r} is not a duration; write 90s, 30m or 2h", param, ctx)
        return float(int(found[1]) * _UNITS_S[found[2]])


@answering(name="fsck")
@click.argument("names", metavar="[NAME[@V]]...", nargs=-1)
@click.option("--store", "stores", multiple=True, metavar="NAME", help="Only this store; may be repeated.")
@click.option(
    "--quick/--deep", "quick", default=True, help="List and compare sizes (default), or read every byte."
)
@click.option(
    "--budget",
    "budget_s",
    type=_Duration(),
    metavar="30m",
    help="Read for so long, and go on there next time.",
)
@click.option("--repair", is_flag=True, help="Copy back what another store has whole; never deletes.")
def command(
    session: Session,
    names: tuple[str, ...],
    stores: tuple[str, ...],
    quick: bool,
    budget_s: float | None,
    repair: bool,
) -> Answer:
    r"""Check that every version is whole in every store, and that the git repositories are.

    --quick finds what is missing or has another size, and cannot see flipped bits; --deep reads every byte.
    Exit code 3: something is wrong, or a version has fewer copies than the keep's policy asks for.

    \b
    Example:
      datakeep fsck
      datakeep fsck orders --deep
      datakeep fsck --deep --budget 30m
      datakeep fsck --deep --repair
    """
    from datakeep.workflows.fsck import fsck
    from datakeep.workflows.fsck_report import Plan

    keep = session.keep()
    deep = not quick or budget_s is not None
    found = fsck(keep, Plan(names=names, stores=stores, deep=deep, budget_s=budget_s, repair=repair))
    data = {
        "clean": found.is_clean,
        "deep": found.deep,
        "coverage": found.coverage,
        "days_to_full": found.days_to_full,
        "versions": [asdict(state) for state in found.versions],
        "copies": [asdict(copies) for copies in found.copies],
        "complaints": [asdict(complaint) for complaint in found.complaints],
        "restored": found.restored,
        "unreferenced": found.unreferenced,
    }
    return Answer(data, list(_lines(found, repair=repair)), 0 if found.is_clean else EXIT_NO)


def _lines(found: Fsck, *, repair: bool) -> Iterator[str]:
    for state in found.versions:
        yield from _state_lines(state)
    yield from (f"restored: {thing}" for thing in found.restored)
    for complaint in found.complaints[:_SHOWN]:
        yield f"{complaint.about}: {complaint.what}"
    if len(found.complaints) > _SHOWN:
        yield f"… and {counted(len(found.complaints) - _SHOWN, 'more complaint')} (all with --json)"
    for store, count in found.unreferenced.items():
        if count:
            objects = counted(count, "object")
            yield f"{store}: {objects} that no registered version refers to (kept; datakeep gc lists them)"
    if found.coverage is None:
        yield "sizes compared, no byte read: flipped bits are not seen this way; datakeep fsck --deep reads all"
    else:
        rest = f"; all within {counted(found.days_to_full, 'run')} like this" if found.days_to_full else ""
        yield f"read {found.coverage:.0%} of all objects in this round{rest}"
    yield from _end(found, repair=repair)


def _end(found: Fsck, *, repair: bool) -> Iterator[str]:
    short = [copies for copies in found.copies if copies.whole + copies.present < copies.wanted]
    for copies in short:
        good = copies.whole + copies.present
        word = "copy" if good == 1 else "copies"
        yield f"{copies.version}: {good} good {word}; the policy asks for {copies.wanted}"
    steps = dict.fromkeys(complaint.next_step for complaint in found.complaints if complaint.next_step)
    yield from (f"next: {step}" for step in list(steps)[:_SHOWN])
    if found.is_clean:
        yield "nothing is missing or wrong"
    elif not repair and any(state.is_bad for state in found.versions):
        yield "next: datakeep fsck --deep --repair copies back what another store has whole"
    elif short:
        yield "next: datakeep vault add NAME URL"


def _state_lines(state: InStore) -> Iterator[str]:
    good = f"{state.whole:,} whole" if state.whole else ""
    unread = f"{state.unread:,} present, not read" if state.unread else ""
    repaired = f"{state.repaired:,} of them repaired" if state.repaired else ""
    parts = [part for part in (good, repaired, unread) if part]
    bad = [
        f"{len(paths):,} {word}"
        for word, paths in (("missing", state.missing), ("wrong", state.wrong))
        if paths
    ]
    yield f"{state.version} in {state.store}: {', '.join([*parts, *bad])} of {counted(state.objects, 'object')}"
    for word, paths in (("missing", state.missing), ("wrong", state.wrong)):
        for path in paths[:_SHOWN]:
            yield f"  {word}: {path}"
        if len(paths) > _SHOWN:
            yield f"  … and {len(paths) - _SHOWN} more {word}"
