"""``datakeep show``."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.profile import profile_lines
from datakeep.cli.rendering import fact_lines, proof_data, proof_lines
from datakeep.cli.session import Answer, Session, size, table
from datakeep.cli.session import command as answering
from datakeep.cli.tampered_lines import distrusted, unless_deleted
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datakeep.formats.manifest import Column
    from datakeep.workflows.show import Shown

#: Of a wide table, the columns that are listed; and of a type, the characters.
_COLUMNS, _TYPE_WIDTH = 60, 60


@answering(name="show")
@click.argument("reference", metavar="NAME[@V]")
def command(session: Session, reference: str) -> Answer:
    r"""Show all that is known of a dataset: what, whose, from where, under which rules, and who has proven it.

    What nobody stated is shown as "not stated", and unknown as "unknown". The profile of its tables has a line for
    each column, with small bars: how the values are spread from the least to the greatest, or the frequent ones.
    Exit code 3: its entry or a proof was changed or deleted since it was recorded.

    \b
    Example:
      datakeep show orders
      datakeep show orders@v2 --json
    """
    from datakeep.workflows.show import show
    from datakeep.workflows.tampering import behind_a_version

    keep = session.keep()

    def question() -> Answer:
        shown = show(keep, reference, now=datetime.now(UTC))
        changed = behind_a_version(keep, shown.entry, shown.proofs, newest="@" not in reference)
        return distrusted(Answer(_data(shown), list(_lines(shown))), changed)

    return unless_deleted(keep, [f"dataset:{reference.removeprefix('dataset:')}"], question)


def _lines(shown: Shown) -> Iterator[str]:
    from datakeep.workflows.retention import kept_until

    entry = shown.entry
    name = f"{entry.dataset}@{entry.version}"
    newest = shown.versions[-1]
    older = "" if entry.version == newest else f"   (not the newest: that is {newest})"
    yield click.style(name, bold=True) + older
    yield from fact_lines(shown.facts)
    until = kept_until(entry)
    if until is not None and until < datetime.now(UTC).date():
        yield click.style(f"  it was to be kept until {until} only, and that day has passed", fg="yellow")
    if shown.owner_departed:
        yield click.style(f"  the owner departed on {shown.owner_departed}", fg="yellow")
        yield f"  next: datakeep update {entry.dataset} --owner 'NAME <MAIL>' -m 'new owner'"
    if shown.fault:
        yield f"  the manifest cannot be read: {shown.fault}"
    if shown.columns:
        yield "columns"
        yield from (f"  {line}" for line in table(_columns(shown.columns)))
        if len(shown.columns) > _COLUMNS:
            yield f"  … and {counted(len(shown.columns) - _COLUMNS, 'more column')} (--json has them)"
    if shown.profile:
        yield from profile_lines(shown.profile)
    elif shown.no_profile:
        yield f"profile: not known here: {shown.no_profile}"
    elif shown.columns:
        yield "profile: none is stored with this version"
    for one in entry.left_by or ():
        yield f"{counted(one.files, 'file')} of it left by model {one.model}: datakeep audit model:{one.model}"
    yield "version"
    yield from (f"  {line}" for line in table(_version_rows(shown)))
    yield "proofs"
    yield from proof_lines(shown.proofs, alike=shown.alike)
    yield f"next: datakeep checkout {name} DEST gets its files; datakeep log {entry.dataset} lists its versions"


def _columns(columns: Sequence[Column]) -> list[tuple[str, ...]]:
    """Name, type, whether it is of the key (where any is), unit and meaning of the first ones.

    A type of many fields is cut, so that it does not push what stands behind it out of sight.
    """
    keyed = any(one.key for one in columns)
    rows = []
    for one in columns[:_COLUMNS]:
        kind = one.type or ""
        shown = kind if len(kind) <= _TYPE_WIDTH else f"{kind[:_TYPE_WIDTH]}…"
        key = (["key" if one.key else ""]) if keyed else []
        rows.append((one.name, shown, *key, one.unit or "", one.meaning or ""))
    return rows


def _version_rows(shown: Shown) -> Iterator[tuple[str, str]]:
    entry = shown.entry
    yield "files", f"{entry.files:,}, {size(entry.size_bytes)}"
    yield "registered", f"{entry.registered_at:%Y-%m-%d %H:%M} by {entry.registered_by}: {entry.message}"
    yield "backend", str(entry.manifest.get("backend"))
    yield "repository", entry.repository
    yield "commit", entry.commit
    yield "content id", entry.content
    if entry.manifest.get("backend") == "git":
        yield "bytes", "in the repository's git history"
    for store, url in shown.places:
        yield "bytes", f"store {store}: {url or 'the keep has this store no more'}"
    address = shlex.quote(entry.repository)
    yield "without datakeep", f"git clone --branch {entry.version} -- {address}; its README.md says how"


def _data(shown: Shown) -> dict[str, Any]:
    return {
        "entry": shown.entry.to_dict(),
        "versions": list(shown.versions),
        "facts": {one.field: list(one.values) for one in shown.facts},
        "unknown": [one.field for one in shown.facts if not one.is_known],
        "fault": shown.fault,
        "stores": dict(shown.places),
        **proof_data(shown.proofs),
        "owner_departed": shown.owner_departed.isoformat() if shown.owner_departed else None,
        "profile": shown.profile.to_dict() if shown.profile else None,
        "profile_fault": shown.no_profile,
        "proven_alike": shown.alike.version if shown.alike else None,
    }
