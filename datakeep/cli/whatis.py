"""``datakeep whatis``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_INCOMPLETE, EXIT_NO
from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session, table
from datakeep.cli.session import command as answering
from datakeep.cli.tampered_lines import distrusted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.workflows.whatis import Meaning, WhatIs

_SHOWN = 5


@answering(name="whatis")
@click.argument("subject", metavar="HASH | URL | FILE")
@click.option("--fetch", is_flag=True, help="Get the file lists that are not here, and search them.")
def command(session: Session, subject: str, fetch: bool) -> Answer:
    r"""Tell whose bytes these are: dataset, versions, paths, owner, repository and stores.

    A file is known by its bytes, whatever it is called; an object of a store by its name or its URL; a hash by
    its first 8 digits or more. Models, inventories, lists of files, bundles and proofs are known as well.
    Exit code 3: not known; 4: not known, and something was not searched.

    \b
    Example:
      datakeep whatis d41d8cd98f00b204e9800998ecf8427e
      datakeep whatis s3://ml-data/keep/orders/files/md5/ab/cdef0123456789abcdef0123456789.dir
      datakeep whatis ~/Downloads/part-0001.csv
    """
    from datakeep.workflows.whatis import whatis

    keep = session.keep()
    found = whatis(keep, subject, fetch=fetch)
    unsure = EXIT_INCOMPLETE if found.not_searched or found.broken else EXIT_NO
    answered = Answer(_data(found), list(_lines(found)), 0 if found.meanings else unsure)
    if found.meanings:
        return answered
    from datakeep.workflows.could_tell import deleted_with  # late: only for what is not there

    gone = deleted_with(keep, found.digests)
    return distrusted(answered, gone) if gone else answered


def _lines(found: WhatIs) -> Iterator[str]:
    said = "" if found.meanings else ": not known"
    yield f"{found.asked}{said}"
    yield from (f"  {digest}" for digest in found.digests if digest != found.asked)
    yield from (f"  {note}" for note in found.notes)
    for meaning in found.meanings:
        yield from _meaning_lines(meaning)
    if found.not_searched:
        yield "not searched:"
        yield from some(found.not_searched, mark="?")
        yield f"  datakeep whatis {shlex.quote(found.asked)} --fetch gets them"
    if found.broken:
        yield "files of the keep that cannot be read, and might have told more:"
        yield from some([f"{path}: {reason}" for path, reason in found.broken], mark="!")
    if found.meanings:
        yield f"next: {found.meanings[0].next_step}"
    else:
        yield f"next: ask in another keep: datakeep whatis {shlex.quote(found.asked)} -C DIR"


def _meaning_lines(meaning: Meaning) -> Iterator[str]:
    yield click.style(f"{meaning.what} of {meaning.name}", bold=True)
    rows = []
    if meaning.versions:
        rows.append(("versions", _few(meaning.versions)))
    rows += [("path" if place == 0 else "", path) for place, path in enumerate(meaning.paths[:_SHOWN])]
    if len(meaning.paths) > _SHOWN:
        rows.append(("", f"… and {len(meaning.paths) - _SHOWN:,} more (all with --json)"))
    if meaning.repository:
        rows.append(("owner", meaning.owner or "not stated"))
        rows.append(("repository", meaning.repository))
        rows.append(("stores", ", ".join(meaning.stores) or "none; the repository has it"))
    yield from (f"  {line}" for line in table(rows))


def _few(versions: tuple[str, ...]) -> str:
    if len(versions) <= _SHOWN:
        return ", ".join(versions)
    return f"{versions[0]}, {versions[1]}, … {versions[-1]} ({len(versions):,} of them)"


def _data(found: WhatIs) -> dict[str, Any]:
    return {
        "asked": found.asked,
        "digests": list(found.digests),
        "known": bool(found.meanings),
        "meanings": [
            {
                "what": one.what,
                "name": one.name,
                "versions": list(one.versions),
                "paths": list(one.paths),
                "owner": one.owner,
                "repository": one.repository,
                "stores": list(one.stores),
                "next": one.next_step,
            }
            for one in found.meanings
        ],
        "notes": list(found.notes),
        "not_searched": list(found.not_searched),
        "broken": [{"path": path, "reason": reason} for path, reason in found.broken],
    }
