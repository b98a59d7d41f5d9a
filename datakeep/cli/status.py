"""``datakeep status``."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.workflows.checkout_status import CheckoutStatus
    from datakeep.workflows.status import Finding, KeepStatus

#: So many things are listed of a keep, unless all are asked for.
_LISTED = 20


@answering(name="status")
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    help="Look at the checkout in this folder, not at datasets/NAME.",
)
@click.option(
    "--deep", is_flag=True, help="Read every byte, also of files unchanged since they were last hashed."
)
@click.option(
    "--all", "whole", is_flag=True, help="List everything that needs attention, however much it is."
)
def command(session: Session, name: str | None, folder: Path | None, deep: bool, whole: bool) -> Answer:
    r"""Tell what needs attention in the keep; with NAME, whether the files of its checkout are whole.

    Files of a checkout are read and hashed, but for those unchanged since they last were (size, times and
    inode), and the answer says how many. Of more than 20 things in a keep, the first of each kind are listed, and
    how many more there are. Exit code 0: nothing to report; 3: something.

    \b
    Example:
      datakeep status
      datakeep status orders
      datakeep status orders --dir ~/work/orders
    """
    keep = session.keep()
    if name is None:
        if folder is not None or deep:
            option = "--deep" if folder is None else "--dir"
            raise click.UsageError(f"{option} needs the NAME of the dataset that is looked at")
        from datakeep.workflows.status import keep_status

        found = keep_status(keep, now=datetime.now(UTC))
        return Answer(
            _keep_data(found), list(_keep_lines(found, whole=whole)), EXIT_NO if found.findings else 0
        )
    from datakeep.workflows.checkout_status import checkout_status

    checkout = checkout_status(keep, name, folder, deep=deep)
    code = 0 if checkout.is_clean else EXIT_NO
    return Answer(_checkout_data(checkout), list(_checkout_lines(checkout, folder)), code)


def _keep_lines(status: KeepStatus, *, whole: bool) -> Iterator[str]:
    datasets = counted(status.datasets, "dataset")
    if not status.findings:
        yield f"{status.name}: {datasets}; nothing needs attention"
        return
    count = len(status.findings)
    yield f"{status.name}: {datasets}; {counted(count, 'thing')} to look at"
    listed, left_out = (status.findings, Counter[str]()) if whole else _first(status.findings)
    for found in listed:
        # What is said of a store itself begins with its name and place.
        named = found.what.startswith("store ")
        yield f"  {found.what}" if named else f"  {click.style(found.thing, bold=True)}: {found.what}"
        yield f"    next: {found.next_step}"
    if left_out:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in left_out.items())
        yield f"  … and {left_out.total():,} more like these ({kinds}); datakeep status --all lists them"


def _first(findings: Sequence[Finding]) -> tuple[list[Finding], Counter[str]]:
    """The findings that are listed, in their order, and how many more there are of each kind."""
    if len(findings) <= _LISTED:
        return list(findings), Counter()
    of_kind = Counter(found.kind for found in findings)
    # What there is little of is listed whole; what fills the screen leaves room for it.
    room, listed = _LISTED, {}
    for place, (kind, count) in enumerate(sorted(of_kind.items(), key=lambda pair: pair[1])):
        listed[kind] = min(count, max(1, room // (len(of_kind) - place)))
        room -= listed[kind]
    kept = []
    for found in findings:
        if listed[found.kind]:
            listed[found.kind] -= 1
            of_kind[found.kind] -= 1
            kept.append(found)
    return kept, +of_kind


def _keep_data(status: KeepStatus) -> dict[str, Any]:
    return {
        "keep": status.name,
        "datasets": status.datasets,
        "clean": not status.findings,
        "findings": [asdict(found) for found in status.findings],
    }


def _checkout_lines(status: CheckoutStatus, folder: Path | None) -> Iterator[str]:
    """What was found; ``folder`` is the one that was named, if any."""
    entry, found = status.entry, status.found
    name = f"{entry.dataset}@{entry.version}"
    if found is None:
        yield f"{name}: 0/{entry.files} files present: there is no data in {status.path}"
        yield from some(status.notes, mark="!")
        yield f"next: {_get(name, folder)}"
        return
    bad = len(found.missing) + len(found.mismatched) + len(found.stray)
    stray = len(found.stray)
    said = "present and matching" + (
        f", {stray} that {'does' if stray == 1 else 'do'} not belong" if stray else ""
    )
    yield f"{name}: {found.matching}/{entry.files} files {said}, in {status.path}"
    if found.trusted:
        yield (
            f"  {found.trusted:,}/{entry.files:,} unchanged since they were last hashed, not read again "
            "(--deep reads all)"
        )
    yield from some(found.mismatched, mark="changed:")
    yield from some(found.stray, mark="added:")
    yield from some(found.missing, mark="removed:")
    yield from some(status.documents, mark="not committed:")
    yield from some(status.notes, mark="!")
    if bad:
        yield (
            f"next: cp -r {status.path / 'data'} DIR && datakeep update {entry.dataset} DIR -m WHY makes this the "
            f"next version; datakeep checkout {name} DEST gets the registered files elsewhere"
        )


def _get(name: str, folder: Path | None) -> str:
    """What brings the files to where they were looked for; what lies there is not written over."""
    if folder is None:
        return f"datakeep checkout {name}"
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        return f"name the folder of a checkout: datakeep status {name.partition('@')[0]} --dir DIR"
    return f"datakeep checkout {name} {shlex.quote(str(folder))}"


def _checkout_data(status: CheckoutStatus) -> dict[str, Any]:
    found = status.found
    return {
        "dataset": status.entry.dataset,
        "version": status.entry.version,
        "path": str(status.path),
        "clean": status.is_clean,
        "present": found is not None,
        "files": status.entry.files,
        "matching": found.matching if found else 0,
        "files_not_read": found.trusted if found else 0,
        "changed": found.mismatched if found else [],
        "added": found.stray if found else [],
        "removed": found.missing if found else None,
        "documents": list(status.documents),
        "notes": list(status.notes),
    }
