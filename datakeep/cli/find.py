"""``datakeep find``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from datakeep.cli.boundary import EXIT_INCOMPLETE, EXIT_NO
from datakeep.cli.rendering import some
from datakeep.cli.session import Answer, Session
from datakeep.cli.session import command as answering
from datakeep.cli.tampered_lines import distrusted
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from datakeep.workflows.find import Findings, FindKind, Found, Where

_SHOWN_PATHS = 5


@answering(name="find")
@click.argument("words", metavar="WORDS…", nargs=-1, required=True)
@click.option(
    "--kind", type=click.Choice(["dataset", "model", "person", "file"]), help="Search only for these."
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Show so many.")
@click.option("--fetch", is_flag=True, help="Get the file lists and SQL that are not here, and search them.")
def command(
    session: Session, words: tuple[str, ...], kind: FindKind | None, limit: int, fetch: bool
) -> Answer:
    r"""Search names, titles, purposes, columns, SQL, tables, people and file names.

    All words must be found; a part of a word will do, a typo is forgiven, and Japanese needs no spaces. The
    best come first, each with where it matched. Exit code 3: nothing has all the words; 4: nothing
    in what was searched, and something was not.

    \b
    Example:
      datakeep find late orders
      datakeep find 受注 --kind dataset
      datakeep find IMG_0042 --kind file --fetch
    """
    from datakeep.workflows.find import find

    shown = None if session.as_json else limit
    keep = session.keep()
    found = find(keep, words, kind=kind, fetch=fetch, limit=shown)
    unsure = EXIT_INCOMPLETE if found.not_searched or found.broken else EXIT_NO
    code = 0 if found.found else unsure
    guessed = {where.word for one in found.found for where in one.where if where.meant}
    missed = [word for word in words if not found.found or word in guessed]
    if not missed or kind not in (None, "model", "dataset"):
        return Answer(_data(found), list(_lines(found, limit)), code)
    from datakeep.workflows.could_tell import deleted  # late: only for what is not there

    by_word = {word: told for word in missed if (told := deleted(keep, word))}
    answered = Answer(_data(found), list(_lines(found, limit, by_word)), code)
    gone = [one for told in by_word.values() for one in told]
    return distrusted(answered, gone) if gone else answered


def _lines(found: Findings, limit: int, deleted: Collection[str] = ()) -> Iterator[str]:
    asked = " ".join(found.words)
    for one in found.found[:limit]:
        yield from _found_lines(one)
    if found.total > limit:
        yield f"… and {found.total - limit:,} more (all with --json, or --limit)"
    if not found.found:
        yield f"nothing has {'all of: ' if len(found.words) > 1 else ''}{asked}"
        yield from (f"  {word}: alone in {counted(count, 'thing')}" for word, count in found.alone.items())
        for word, near in found.near.items():
            nowhere = "deleted, as told above" if word in deleted else "nowhere"
            yield f"  {word}: {nowhere}" + (f"; near it: {', '.join(near)}" if near else "")
    if found.not_searched:
        yield "not searched:"
        yield from some(found.not_searched, mark="?")
        if found.fetchable:
            yield f"  datakeep find {shlex.join(found.words)} --fetch gets them"
    if found.broken:
        yield "files of the keep that cannot be read, and might have told more:"
        yield from some([f"{path}: {reason}" for path, reason in found.broken], mark="!")
    if found.found:
        yield f"next: {found.found[0].next_step}"


def _found_lines(one: Found) -> Iterator[str]:
    kind = "files of" if one.kind == "file" else one.kind
    name = f"{one.name}@{one.version}" if one.version else one.name
    yield click.style(f"{kind} {name}", bold=True)
    places = list(dict.fromkeys(map(_where, one.where)))  # two words may be found at one place
    yield from (f"  {place}" for place in places[:_SHOWN_PATHS])
    if len(places) > _SHOWN_PATHS:
        yield f"  … and {len(places) - _SHOWN_PATHS} more"


def _where(where: Where) -> str:
    meant = f" (for {where.word!r}: {where.meant!r})" if where.meant else ""
    until = f" (until {where.until})" if where.until else ""
    return f"{where.field}: {where.text}{meant}{until}"


def _data(found: Findings) -> dict[str, Any]:
    return {
        "words": list(found.words),
        "found": [
            {
                "kind": one.kind,
                "name": one.name,
                "version": one.version,
                "where": [
                    {
                        "word": where.word,
                        "field": where.field,
                        "text": where.text,
                        "until": where.until,
                        "meant": where.meant,
                    }
                    for where in one.where
                ],
                "next": one.next_step,
            }
            for one in found.found
        ],
        "near": {word: list(near) for word, near in found.near.items()},
        "alone": found.alone,
        "not_searched": list(found.not_searched),
        "broken": [{"path": path, "reason": reason} for path, reason in found.broken],
    }
