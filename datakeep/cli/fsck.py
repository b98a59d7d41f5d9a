"""``datakeep fsck``."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.workflows.fsck_report import Fsck, InStore

_SHOWN = 10
_NAMED = 3
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
@click.option("-v", "--verbose", is_flag=True, help="Show each version in each store, whole ones too.")
def command(
    session: Session,
    names: tuple[str, ...],
    stores: tuple[str, ...],
    quick: bool,
    budget_s: float | None,
    repair: bool,
    verbose: bool,
) -> Answer:
    r"""Check that every version is whole in every store, and that the git repositories are.

    --quick finds what is missing, has another size, or another sha256 by the store's own word (S3 keeps one), and
    cannot see flipped bits; --deep reads every byte.
    What is found wrong is told by `datakeep status` too, until it was looked at again.
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
        "objects": found.objects,
        "stated_by_store": found.stated,
        "versions": [asdict(state) for state in found.versions],
        "lost": [asdict(lost) for lost in found.lost],
        "copies": [asdict(copies) for copies in found.copies],
        "complaints": [asdict(complaint) for complaint in found.complaints],
        "restored": found.restored,
        "unreferenced": found.unreferenced,
        "unregistered": found.unregistered,
    }
    lines = list(_lines(found, repair=repair, verbose=verbose))
    return Answer(data, lines, 0 if found.is_clean else EXIT_NO)


def _lines(found: Fsck, *, repair: bool, verbose: bool) -> Iterator[str]:
    """The verdict, then what is bad, then all else, then what to type."""
    yield click.style(_verdict(found, repair=repair), bold=True)
    for state in found.versions:
        if state.is_bad:
            yield from _state_lines(state)
    for lost in found.lost:
        yield f"{lost.version}: whole in no store: {counted(len(lost.files), 'file')}"
        yield from some(lost.files, mark="lost:")
    for complaint in found.complaints[:_SHOWN]:
        # What is said of a store itself begins with its name and place.
        named = complaint.what.startswith("store ")
        yield complaint.what if named else f"{complaint.about}: {complaint.what}"
    if len(found.complaints) > _SHOWN:
        yield f"… and {counted(len(found.complaints) - _SHOWN, 'more complaint')} (all with --json)"
    for state in found.versions:
        if state.repaired:
            yield f"repaired: {counted(state.repaired, 'object')} of {state.version} in {state.store}"
    yield from (f"restored: {thing}" for thing in found.restored)
    yield from _good_lines(found, verbose=verbose)
    yield from _copies_lines(found)
    yield from _leftover_lines(found)
    yield from _next_lines(found, repair=repair)


def _verdict(found: Fsck, *, repair: bool) -> str:
    """What holds of everything that was looked at; never more than was read."""
    bad = sum(state.is_bad for state in found.versions)
    if bad or found.complaints:
        faults = [f"{bad} of {_places(len(found.versions))} not whole"] if bad else []
        faults += [counted(len(found.complaints), "complaint")] if found.complaints else []
        return f"something is wrong{' that was not repaired' if repair else ''}: {', '.join(faults)}"
    if found.coverage is None:
        said = "nothing is missing or of another size"
    elif found.coverage < 1:
        said = "nothing is missing, or wrong in what was read"
    else:
        said = "nothing is missing or wrong"
    short = sum(copies.is_short for copies in found.copies)
    return f"{said}; but there are too few copies of {counted(short, 'version')}" if short else said


def _places(count: int) -> str:
    return counted(count, "version-in-store", "versions-in-stores")


def _good_lines(found: Fsck, *, verbose: bool) -> Iterator[str]:
    good = [state for state in found.versions if not state.is_bad]
    if verbose:
        yield from (line for state in good for line in _state_lines(state))
    total, objects = _places(len(found.versions)), counted(found.objects, "object")
    if found.coverage is None:
        compared = "sizes"
        if found.stated:
            compared = f"sizes, and of {found.stated:,} the store's own sha256,"
        yield f"{len(good)} of {total} present, {objects}; {compared} compared, no byte read"
        yield _unseen(found)
        return
    whole = sum(state.whole == state.objects for state in good)
    yield f"{whole} of {total} whole, {objects}"
    if found.coverage < 1:
        rest = ""
        if found.days_to_full:
            rest = f"; with one such run a day, all in {counted(found.days_to_full, 'day')} more"
        yield f"read {found.coverage:.0%} of all objects in this round{rest}"


def _unseen(found: Fsck) -> str:
    """What a look without reading cannot tell."""
    if found.stated == 0:
        unseen = "flipped bits are not seen this way"
    elif found.stated < found.objects:
        unseen = "flipped bits are not seen where no sha256 is stated, nor what decayed after it was stated"
    else:
        unseen = "what decayed there after its sha256 was stated is not seen this way"
    return f"{unseen}: datakeep fsck --deep reads all"


def _copies_lines(found: Fsck) -> Iterator[str]:
    """Versions with as few copies in one line: a hundred equal failures are one."""
    short: dict[tuple[int, int], list[str]] = {}
    for copies in found.copies:
        if copies.is_short:
            short.setdefault((copies.whole + copies.present, copies.wanted), []).append(copies.version)
    for (good, wanted), versions in short.items():
        shown = ", ".join(versions[:_NAMED]) + (
            f" and {len(versions) - _NAMED} more" if len(versions) > _NAMED else ""
        )
        yield f"{shown}: {counted(good, 'good copy', 'good copies')}; the policy asks for {wanted}"


def _leftover_lines(found: Fsck) -> Iterator[str]:
    for store, count in found.unreferenced.items():
        if count:
            objects = counted(count, "object")
            yield f"{store}: {objects} that no registered version refers to (kept; datakeep gc lists them)"
    if found.unregistered:
        repositories = counted(len(found.unregistered), "repository", "repositories")
        yield (
            f"{repositories} that no register entry names "
            "(left by an interrupted register, or not of this keep; kept)"
        )
        yield from some(found.unregistered, mark="-")


def _next_lines(found: Fsck, *, repair: bool) -> Iterator[str]:
    steps = [complaint.next_step for complaint in found.complaints if complaint.next_step]
    lost = {one.version for one in found.lost}
    if not repair and any(state.is_bad and state.version not in lost for state in found.versions):
        steps.append("datakeep fsck --deep --repair copies back what another store has whole")
    steps += [one.next_step for one in found.lost]
    if not steps:
        steps += found.more_copies
    yield from (f"next: {step}" for step in list(dict.fromkeys(steps))[:_SHOWN])


def _state_lines(state: InStore) -> Iterator[str]:
    good = f"{state.whole:,} whole" if state.whole else ""
    unread = f"{state.unread:,} present, not read" if state.unread else ""
    parts = [part for part in (good, unread) if part]
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
