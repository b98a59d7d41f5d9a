"""What of a query's source is another than it was recorded, in words: what was, what is, and what may explain it."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from datakeep.core.changes import apart
from datakeep.core.counts import counted
from datakeep.extract.sql.advice_kinds import DERIVABILITY
from datakeep.workflows.extraction_record import WITHHELD_TEXT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

#: Of a digest; and of several files or columns, those that are named.
_DIGITS, _NAMED = 12, 3
_GUESSED = re.compile(r"(?s)(.+): (?:guessed were|the types were guessed:) .*")
_ADVICE = re.compile(r" \[([a-z-]+)\]$")
_ROW_SECURITY = re.compile(r"[0-9]+:[0-9]+: (.+) has row-level security")


def moved(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Iterator[str]:
    """What of the source is not as it was recorded, in words; a view may have changed, and the rows not yet.

    Args:
        before: ``source.extraction`` of a version; None if datakeep did not run its query, and nothing can be said.
        after: The same of another run.
    """
    if not before:
        return
    yield from _types(before["columns"], after["columns"])
    yield from _said_anew(before.get("dictionary"), after.get("dictionary"))
    yield from _made_anew(before.get("functions"), after.get("functions"))
    old, new = (_reads(one) for one in (before, after))
    yield from (f"{name} is no longer read" for name in old if name not in new)
    for name, table in new.items():
        if name in old:
            yield from _of_table(name, old[name], table)
        else:
            yield f"{name} is read now, and was not"
    guarded, now_guarded = map(_row_security, (before, after))
    yield from (
        f"{name} has row-level security now, and had not" for name in now_guarded if name not in guarded
    )
    yield from (f"{name} had row-level security, and has not" for name in guarded if name not in now_guarded)


def _types(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Which columns have another type in the database; where Arrow's differs too, the rows' comparison tells it."""
    known = {column["name"]: column for column in before}
    for column in after:
        was = known.get(column["name"], column)
        kinds = {was.get("arrow_type"), column.get("arrow_type")}
        is_told = len(kinds) > 1 and not kinds & {None, "null"}
        if was["database_type"] != column["database_type"] and not is_told:
            yield f"the type of {column['name']} was {was['database_type']}, and is {column['database_type']}"


def _row_security(*extractions: Mapping[str, Any] | None) -> dict[str, None]:
    """The tables of which each user sees other rows."""
    said = [line for one in extractions for line in (one or {}).get("advice") or ()]
    return dict.fromkeys(match[1] for line in said if (match := _ROW_SECURITY.match(line)))


def _made_anew(before: Any, after: Any) -> Iterator[str]:
    """Which functions are others; nothing where they were not recorded, as by an older datakeep."""
    if before is None or after is None:
        return
    old, new = ({one["name"]: one["definition"] for one in some} for some in (before, after))
    yield from (f"the function {name} is no longer called, or gone" for name in old if name not in new)
    yield from (f"the function {name} is called now, and was not" for name in new if name not in old)
    for name in new:
        if name in old and old[name] != new[name]:
            yield f"the definition of the function {name} has changed: {_definitions(old[name], new[name])}"


def _said_anew(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Iterator[str]:
    """Of which columns the comment is another; nothing where it was not recorded apart from what people state."""
    if before is None or after is None:
        return
    for name in dict.fromkeys([*before, *after]):
        was, is_now = (one.get(name, {}).get("meaning") for one in (before, after))
        if was != is_now:
            yield f"the comment on {name} was {_quoted(was)}, and is {_quoted(is_now)}"


def _quoted(text: str | None) -> str:
    return "none" if text is None else f"'{text}'"


def _reads(extraction: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What was read, by its name and the views that lead to it."""
    return {
        " through ".join([table["name"], *reversed(table.get("through") or [])]): table
        for table in extraction.get("tables") or []
    }


def _of_table(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    was, is_now = (one.get("definition") for one in (old, new))
    if was != is_now:
        yield f"the definition of {name} has changed: {_definitions(was, is_now)}"
    if old["columns"] != new["columns"]:
        yield f"other columns of {name} are read{_columns(old['columns'], new['columns'])}"
    yield from _files(name, *({file["path"]: file for file in one.get("files") or []} for one in (old, new)))
    was, is_now = (one.get("comment") for one in (old, new))
    if was != is_now:
        yield f"the comment on the {new['kind']} {name} was {_quoted(was)}, and is {_quoted(is_now)}"
    was, is_now = (", ".join(one.get("primary_key") or ()) for one in (old, new))
    if was != is_now:
        yield f"the primary key of {name} was {was or 'none'}, and is {is_now or 'none'}"


def _definitions(was: str | None, is_now: str | None) -> str:
    """Where two definitions first differ; None is one that is not shown to the user."""
    if was is None or is_now is None:
        return (
            "it was not shown to this user, and is"
            if was is None
            else "it is not shown to this user any more"
        )
    old, new = apart(" ".join(was.split()), " ".join(is_now.split()))
    return f"{old} → {new}" if old != new else "only in its spaces and line ends"


def _columns(was: Collection[str] | str, is_now: Collection[str] | str) -> str:
    """Which ones; ``unknown`` ones cannot be told."""
    if isinstance(was, str) or isinstance(is_now, str):
        return ""
    added, gone = ([one for one in new if one not in old] for new, old in ((is_now, was), (was, is_now)))
    said = [f"{_some(added)} now"] if added else []
    said += [f"{_some(gone)} no more"] if gone else []
    return f": {'; '.join(said)}" if said else ", in another order"


def _some(names: Collection[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join([*names][:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _files(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Which of the files hold something else than they did, wherever they lay."""
    if [*map(_digest, old.values())] == [*map(_digest, new.values())]:
        return
    if not old.keys() & new.keys():  # another folder: known by their names, where those tell them apart
        named = [{PurePath(path).name: file for path, file in one.items()} for one in (old, new)]
        if [len(one) for one in named] == [len(old), len(new)]:
            old, new = named
    only = len(old) == len(new) == 1
    said = [
        f"{f'its {_digest_kind(file)}' if only else f'the {_digest_kind(file)} of {path}'} was {_short(old[path])}, "
        f"and is {_short(file)}"
        for path, file in new.items()
        if path in old and _digest(old[path]) != _digest(file)
    ]
    said += [f"{path} is new" for path in new if path not in old]
    said += [
        f"{path} is gone, its {_digest_kind(file)} was {_short(file)}"
        for path, file in old.items()
        if path not in new
    ]
    more = f"; and {counted(len(said) - _NAMED, 'more file')}" if len(said) > _NAMED else ""
    yield f"the files of {name} have changed: {'; '.join(said[:_NAMED])}{more}"


def _digest(file: Mapping[str, Any]) -> str | None:
    """What a file held: its sha256; of an object its store's own word for its version."""
    found: str | None = file.get("sha256") or file.get("version")
    return found


def _digest_kind(file: Mapping[str, Any]) -> str:
    return "sha256" if file.get("sha256") else "version"


def _short(file: Mapping[str, Any]) -> str:
    digest = _digest(file) or "unknown"
    return f"{digest[:_DIGITS]}…" if file.get("sha256") else digest


def explanations(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Iterator[str]:
    """What alone is no other source, and may explain other rows: server, settings, and what was guessed of files.

    Args:
        before: ``source.extraction`` of a version; None if datakeep did not run its query.
        after: The same of another run.
    """
    if before is None:
        return
    if before["server"] != after["server"]:
        yield f"the server was {before['server']}, and is {after['server']}"
    old = before.get("settings") or {}
    new = after.get("settings") or {} if old else {}  # an older datakeep recorded none
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield f"{name} was {old.get(name, 'not set')}, and is {new.get(name, 'not set')}"
    guesses = [_guesses(one) for one in (before, after)]
    for file, was in guesses[0].items():
        is_now = guesses[1].get(file, was)
        if was != is_now:
            yield "DuckDB guessed otherwise how {} is written: {} → {}".format(file, *apart(was, is_now))
    hidden = [_withheld(one) for one in (before, after)]
    if both := [what for what in hidden[0] if what in hidden[1]]:
        yield f"not compared, as it is withheld: {_some(both)}"


def underivable(before: Mapping[str, Any] | None) -> list[str]:
    """What was recorded of the query that no other run need give again, in a sentence; nothing if there was nothing.

    A star, a natural join, and a table of the search path give the same rows as long as the tables are the same.
    """
    known = DERIVABILITY - {"select-star", "unqualified-table", "natural-join"}
    said = [
        one
        for one in (before or {}).get("advice") or ()
        if (found := _ADVICE.search(one)) and found[1] in known
    ]
    return [f"the query need not give the same rows in another run: {_some(said)}"] if said else []


def _withheld(extraction: Mapping[str, Any]) -> list[str]:
    """The texts of the database that were not written down, since they hold a secret."""
    named = [(f"the function {one['name']}", one) for one in extraction.get("functions") or ()]
    named += [(name, table) for name, table in _reads(extraction).items()]
    return [
        f"the {what} of {name}"
        for name, one in named
        for what in ("definition", "comment")
        if str(one.get(what) or "").startswith(WITHHELD_TEXT)
    ]


def _guesses(extraction: Mapping[str, Any]) -> dict[str, str]:
    """What was guessed of each file as a whole, without how to state it."""
    found = {}
    for one in extraction.get("guessed") or ():
        if match := _GUESSED.fullmatch(one):
            found[match[1]] = one.removeprefix(f"{match[1]}: ").partition("; to state ")[0]
    return found


def other_user(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The tables with row-level security, and who ran the query then and now; None where that was the same user.

    Args:
        before: ``source`` of a version, with its ``extraction``.
        after: The same of another run.
    """
    users = [unquote(urlsplit(str(one.get("database") or "")).username or "") for one in (before, after)]
    tables = _row_security(*(one.get("extraction") for one in (before, after)))
    if users[0] == users[1] or not all(users) or not tables:
        return None
    return ", ".join(tables), users[0], users[1]
