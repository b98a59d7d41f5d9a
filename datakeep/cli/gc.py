"""``datakeep gc``."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.session import Answer, Session, size
from datakeep.cli.session import command as answering
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.workflows.gc import Sweep, Swept, Unreferenced

_WORDS = {
    "object": ("object that nothing refers to", "objects that nothing refers to"),
    "bundle": ("bundle of no known commit", "bundles of no known commit"),
    "quarantine": ("bad copy that a repair put aside", "bad copies that repairs put aside"),
}


class _Days(click.ParamType[timedelta]):
    """``30d``; a day at least, as another person's registration may be on its way for hours."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([1-9][0-9]{0,4})d", str(value))
        if found is None:
            self.fail(f"{value!r} is not a number of days, at least 1d; write 30d", param, ctx)
        return timedelta(days=int(found[1]))


@answering(name="gc")
@click.option("--dry-run", is_flag=True, help="Only list (default).")
@click.option("--delete", is_flag=True, help="Delete what is listed and older than --grace.")
@click.option(
    "--grace",
    type=_Days(),
    default="30d",
    show_default=True,
    metavar="DAYS",
    help="How long an object must have lain there.",
)
@click.option(
    "--only", multiple=True, metavar="NAME", help="Only this dataset's part of each store; may be repeated."
)
@click.option("--quarantine", is_flag=True, help="With --delete: also the bad copies that repairs put aside.")
def command(
    session: Session, dry_run: bool, delete: bool, grace: timedelta, only: tuple[str, ...], quarantine: bool
) -> Answer:
    r"""List the objects that nothing refers to, or delete them. Nothing else in datakeep deletes an object.

    What any register entry, branch or tag of any dataset refers to stays, and so does all that is younger than
    --grace. Nothing is deleted unless every version is whole in every store (fsck) and has the copies that the
    policy asks for, nor in a store that others use as well, unless --only says which datasets are meant.

    \b
    Example:
      datakeep gc
      datakeep gc --delete --grace 90d
    """
    from datakeep.workflows.gc import Sweep, gc

    if dry_run and delete:
        raise click.UsageError("--dry-run and --delete contradict each other.")
    sweep = Sweep(delete=delete, grace=grace, only=only, quarantine=quarantine)
    done = gc(session.keep(), sweep)
    data = {
        "unreferenced": [_plain(one) for one in done.found],
        "deleted": [{"store": one.store, "key": one.key} for one in done.deleted],
        "kept": done.kept,
        "unknown": done.unknown,
    }
    return Answer(data, list(_lines(done, sweep)))


def _plain(one: Unreferenced) -> dict[str, Any]:
    written = datetime.fromtimestamp(one.modified_s, UTC).isoformat(timespec="seconds")
    fields = {name: value for name, value in asdict(one).items() if name != "modified_s"}
    return {**fields, "modified": written}


def _lines(done: Swept, sweep: Sweep) -> Iterator[str]:
    groups: dict[tuple[str, str, str], list[Unreferenced]] = {}
    for one in done.found:
        groups.setdefault((one.store, one.dataset, one.kind), []).append(one)
    for (store, dataset, kind), found in sorted(groups.items()):
        yield f"{dataset} in {store}: {_amount(found, kind)}, {_age(found, sweep.grace)}"
    for store, names in done.unknown.items():
        more = (
            ""
            if sweep.only
            else "; nothing is deleted there unless --only NAME says which datasets are meant"
        )
        yield f"{store} also holds what this keep does not know: {', '.join(names[:5])}{more}"
    yield from done.kept
    if not done.found:
        if not done.kept:
            yield "everything is referred to by an entry, a branch or a tag"
    elif sweep.delete:
        rest = len(done.found) - len(done.deleted)
        yield (
            f"deleted {_sum(done.deleted)}; {rest:,} of what is listed stay"
            if rest
            else f"deleted {_sum(done.deleted)}"
        )
    else:
        yield f"nothing was deleted; datakeep gc --delete deletes {_sum(done.deletable(sweep))}"


def _amount(found: Sequence[Unreferenced], kind: str) -> str:
    total = sum(one.size_bytes for one in found)
    return f"{counted(len(found), *_WORDS[kind])} ({size(total)})"


def _age(found: Sequence[Unreferenced], grace: timedelta) -> str:
    now = datetime.now(UTC).timestamp()
    days = [max(0, int((now - one.modified_s) // 86400)) for one in found]
    old = sum(one.is_old for one in found)
    share = "all" if old == len(found) else f"{old:,}" if old else "none"
    between = f"{max(days)}" if min(days) == max(days) else f"{min(days)} to {max(days)}"
    return f"{between} days old, {share} older than {grace.days} days"


def _sum(found: Sequence[Unreferenced]) -> str:
    return f"{counted(len(found), 'object')} ({size(sum(one.size_bytes for one in found))})"
