"""``datakeep reextract``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from datakeep.cli.boundary import EXIT_NO
from datakeep.cli.comparing import comparison_lines
from datakeep.cli.extraction import once, parameter_option, timeout_option
from datakeep.cli.lean import lean_arrow
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.workflows.reextract import Reextracted


@answering(name="reextract")
@click.argument("reference", metavar="NAME[@V]")
@click.option(
    "--against",
    metavar="URL",
    multiple=True,
    callback=once,
    help="Run it in this database, not in the recorded one.",
)
@parameter_option
@timeout_option
def command(
    session: Session,
    reference: str,
    against: str | None,
    parameters: tuple[str, ...],
    query_timeout: int | None,
) -> Answer:
    r"""Run the recorded query of a version again, and tell how its rows differ from the version's.

    The rows go to a temporary place and are compared by content: by key where the version's columns say which, else
    as whole rows. Nothing is recorded. Exit code 0: the same; 3: something differs.

    \b
    Example:
      datakeep reextract orders@v3
      datakeep reextract orders --against postgresql://replica.corp.example/sales
    """
    lean_arrow()
    from datakeep.workflows.reextract import reextract

    keep = session.keep()
    found = reextract(
        keep,
        reference,
        against=against,
        parameters=parameters,
        timeout_s=query_timeout,
    )
    lines = list(_lines(found))
    name = f"{found.entry.dataset}@{found.entry.version}"
    newest = keep.versions(found.entry.dataset)[-1] == found.entry.version
    if not found.comparison.same and found.run_by:
        lines.append(f"next: run it as {found.run_by}, as it was run for {name}: {_as_user(found)}")
    elif not found.same and newest:
        elsewhere = ["--database", found.database] if against else []
        other = [word for one in parameters for word in ("--param", one)]
        empty = [] if found.comparison.new_rows else ["--allow-empty"]
        again = shlex.join(["datakeep", "update", found.entry.dataset, "--rerun", *elsewhere, *other, *empty])
        what = (
            "records the source as it is now"
            if found.comparison.same
            else "makes these rows the next version"
        )
        lines.append(f"next: {again} -m WHY {what}")
    return Answer(_data(found), lines, 0 if found.same else EXIT_NO)


def _as_user(found: Reextracted) -> str:
    """The command that asks the same database as the user who sees the rows that the version has."""
    there = found.database.partition("@")[2]
    url = f"{found.database.partition('://')[0]}://{quote(str(found.run_by), safe='')}@{there}"
    return shlex.join(
        ["datakeep", "reextract", f"{found.entry.dataset}@{found.entry.version}", "--against", url]
    )


def _lines(found: Reextracted) -> Iterator[str]:
    from datakeep.workflows.query_words import in_words

    name = f"{found.entry.dataset}@{found.entry.version}"
    yield f"the query of {name}, run now in {in_words(found.database)}:"
    yield from comparison_lines(found.comparison, name, "run now")
    if found.comparison.why_by_row:
        dataset = found.entry.dataset
        yield (
            "  to compare by key, if the rows have one, state it as columns[].key in the manifest: "
            f"datakeep update {dataset} --manifest FILE -m WHY"
        )
    for what in found.moved:
        yield f"  {what}"
    if found.remark:
        yield f"  note: {found.remark}"


def _data(found: Reextracted) -> dict[str, object]:
    return {
        "dataset": found.entry.dataset,
        "version": found.entry.version,
        "database": found.database,
        "at": found.at.isoformat(timespec="seconds"),
        "same": found.same,
        "moved": list(found.moved),
        "remark": found.remark,
        "run_by": found.run_by,
        "comparison": found.comparison.to_dict(),
    }
