"""How what is wrong with a query is told: the file that the user knows, the database, and a way out that fits."""

from __future__ import annotations

import hashlib
import os
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from datakeep.core.counts import counted
from datakeep.core.errors import DatakeepError, SecretFound
from datakeep.core.secrets import without_passwords

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from datakeep.extract.sql.ties import Sorting
    from datakeep.workflows.check_sql import Checked
    from datakeep.workflows.wanted_query import Query

_Fault = TypeVar("_Fault", bound=DatakeepError)

_CORRECT = ("correct", "take ")
_NAMED = 5
#: Notes of one kind that are told one by one.
_OF_A_KIND = 5
_DIGITS = 12
_NO_FILES: Mapping[str, str] = MappingProxyType({})


def in_words(database: str) -> str:
    """A database's URL in a sentence: ``duckdb:`` has none, as its files stand in the query."""
    return "DuckDB" if database.rstrip(":/") == "duckdb" else database


@contextmanager
def told(
    shown: str,
    *,
    database: str | None = None,
    recorded: str | None = None,
    elsewhere: bool = False,
    doubts: Sequence[str] = (),
    files: Mapping[str, str] = _NO_FILES,
    secrets: Collection[str] = (),
) -> Iterator[None]:
    """Faults of a query on their way through the block name its file, and the database that they are of.

    What a database quotes of its values is printed without the passwords that are seen in it.

    Args:
        shown: The file, as the user knows it.
        database: Where it is run; None before that.
        recorded: The dataset, where the query is a recorded one, which nobody can correct where it stands.
        elsewhere: It is run by another product than it was written for, whose complaint is no news of the source.
        doubts: What was probably meant otherwise, a sentence each; said with what the database does not take.
        files: What a recorded query read, each with its sha256 then: one that is another now is the likelier cause.
        secrets: The passwords that open the database.
    """
    from datakeep.extract.sql.faults import NotExact, QueryFault

    # Of a word that the URL has anyway, such as the user's name, nothing would be withheld but the sentence's sense.
    secrets = [secret for secret in secrets if secret not in f"{database} {shown}"]
    try:
        yield
    except SecretFound as fault:
        raise SecretFound(f"{shown}: {fault.what}", next_step=fault.next_step, things=fault.things) from fault
    except QueryFault as fault:
        fault = _without_secrets(fault, secrets)
        where = shown
        if database and database not in fault.what and not isinstance(fault, NotExact):
            where += f", run in {in_words(database)}"
        changed, gone = _changed_files(files), _gone_files(files, fault.what)
        step = _step(fault, recorded, changed, gone, elsewhere=elsewhere) if recorded else fault.next_step
        if not isinstance(fault, NotExact):
            step = "; ".join([*doubts, step])
        what = "; ".join(said for said in (changed, fault.what, gone) if said)
        raise _again(fault, f"{where}: {what}", step, fault.things) from fault
    except DatakeepError as fault:
        if (bare := _without_secrets(fault, secrets)) is not fault:
            raise bare from fault
        raise


def _step(
    fault: DatakeepError, recorded: str, changed: str | None, gone: str | None, *, elsewhere: bool
) -> str:
    """What to do about a recorded query, which is not corrected where it stands."""
    from datakeep.extract.sql.faults import NoRows, NotExact

    step = fault.next_step
    if isinstance(fault, NotExact):
        return _as_text_step(recorded, fault.as_text)
    if isinstance(fault, NoRows):
        what = "the file" if changed else "the source"
        return f"look at {what}; if no rows are right: {_with_none(recorded)}"
    if gone and not changed:
        return (
            f"put the file back, or record a query of another: datakeep update {recorded} --sql FILE -m WHY"
        )
    if elsewhere and step.startswith(_CORRECT):
        return "the query was written for another product: name a database of that one (datakeep show says which)"
    if changed or step.startswith(_CORRECT):
        what = "the file" if changed else "the database"
        return (
            f"the query is recorded and stays as it is; if {what} is right as it is now, record a query that reads "
            f"it: datakeep update {recorded} --sql FILE -m WHY"
        )
    return step


def _with_none(recorded: str) -> str:
    return shlex.join(["datakeep", "update", recorded, "--rerun", "--allow-empty", "-m", "WHY"])


def _as_text_step(recorded: str, columns: Sequence[str]) -> str:
    """What to type where a source has got a value that a recorded query's column cannot keep."""
    if not columns:
        return f"record a query that leaves it out: datakeep update {recorded} --sql FILE -m WHY"
    from datakeep.extract.sql.refusals import as_text_options

    again = shlex.join(["datakeep", "update", recorded, "--rerun", *as_text_options(columns), "-m", "WHY"])
    what, it = ("values that the columns", "them") if columns[1:] else ("a value that the column", "it")
    return f"the source has got {what} cannot hold; keep {it} as text, in a new version: {again}"


def _without_secrets(fault: _Fault, secrets: Collection[str]) -> _Fault:
    """The same fault without passwords; the very one where it has none."""
    texts = [fault.what, fault.next_step, *fault.things]
    bare = [without_passwords(text, secrets) for text in texts]
    if bare == texts:
        return fault
    return _again(fault, bare[0], bare[1], bare[2:])


def _again(fault: _Fault, what: str, step: str, things: Sequence[str]) -> _Fault:
    """The same fault in other words, with whatever else it knows."""
    found = type(fault)(what, next_step=step, things=things)
    found.__dict__ |= {name: value for name, value in vars(fault).items() if name not in vars(found)}
    return found


def _changed_files(files: Mapping[str, str]) -> str | None:
    """Which of the files are others than those that were recorded, in one sentence; None if none is."""
    now = {path: _sha256(path) for path in files}
    changed = [path for path, before in files.items() if now[path] not in (before, None)]
    if not changed:
        return None
    path = changed[0]
    more = f", and {counted(len(changed) - 1, 'more file')} changed" if changed[1:] else ""
    return (
        f"{path} has changed since: its sha256 was {_short(files[path])}, and is {_short(str(now[path]))}"
        f"{more}"
    )


def _gone_files(files: Mapping[str, str], said: str) -> str | None:
    """What was in the files that are gone; None if none is.

    Args:
        files: Path to sha256.
        said: What the fault says, which may name one of them.
    """
    gone = [path for path in files if not os.path.lexists(path)]
    if not gone:
        return None
    path = next((one for one in gone if one in said), None)
    more = (
        f"; {counted(len(gone) - 1, 'more file')} that it read {'is' if len(gone) == 2 else 'are'} gone"
        if gone[1:]
        else ""
    )
    what = f"{gone[0]}, which it read, is gone: its" if path is None else "its"
    return f"{what} sha256 was {_short(files[path or gone[0]])}{more}"


def _short(sha256: str) -> str:
    return f"{sha256[:_DIGITS]}…"


def _sha256(path: str) -> str | None:
    """The sha256 of a file; None where it is not there, or cannot be read, which the fault itself says."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def no_rows() -> DatakeepError:
    """The query gives none, and nobody said that it may."""
    from datakeep.extract.sql.faults import NoRows

    return NoRows(
        "the query gives no rows",
        next_step="look at its conditions and parameters; if no rows are right, add --allow-empty",
    )


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for whoever runs a query, and what it is known by at another run."""

    text: str
    key: str


def advice_notes(query: Query, checked: Checked) -> Iterator[Note]:
    """What another run would not give again, a sentence each; of names that suggest people it is told apart.

    The key is what is recorded, without numbers that were counted: they change with the rows.
    """
    for one in checked.advice:
        if one.id != "personal-column":
            where = f"{one.line}:{one.column}: {one.what}"
            yield Note(
                f"{query.shown}:{where}; {one.way_out} [{one.id}]", f"{where.partition('; ')[0]} [{one.id}]"
            )


def folded(notes: Iterable[Note]) -> Iterator[Note]:
    """Of many notes of one kind the first ones, and how many more there are; ``check-sql`` has them all."""
    of_kind: dict[str, list[Note]] = {}
    for one in notes:
        alike = of_kind.setdefault(one.key.rpartition(" [")[2].rstrip("]"), [])
        alike.append(one)
        if len(alike) <= _OF_A_KIND:
            yield one
    for kind, alike in of_kind.items():
        if len(alike) > _OF_A_KIND:
            more = len(alike) - _OF_A_KIND
            yield Note(
                f"and {more:,} more like them [{kind}]: datakeep check-sql lists all", alike[_OF_A_KIND].key
            )


def row_notes(query: Query, rows: int) -> Iterator[str]:
    """What the number of rows, and their order, mean."""
    if not rows:
        yield "the query gave no rows"
    elif rows > 1 and not query.statement.ordered:
        yield (
            f"{query.shown} has no ORDER BY: the same rows in another order are other bytes, and a version of their "
            "own (reextract compares rows whatever their order)"
        )


def told_order(shown: str, sorting: Sorting, found: bool | None, doubt: str = "") -> str | None:
    """What to say of it, in a sentence; None where the rows tell that none tie.

    Args:
        shown: What the query is called.
        sorting: Of the query.
        found: As :class:`Ties` has it; None before any row was seen.
        doubt: As :class:`Ties` has it.
    """
    if found is False:
        return None
    columns = ", ".join(sorting.columns)
    unknown = "its ORDER BY is not known to leave no ties" + (f" ({doubt})" if doubt else "")
    what = f"rows tie under its ORDER BY {columns}" if found else unknown
    return (
        f"{shown}: {what}, whose order is the database's choice: the same rows in another order are other bytes, and "
        "a version of their own (reextract compares rows whatever their order); add the columns of a key at the end "
        "of ORDER BY"
    )


def personal_columns(columns: Iterable[str], renamed: Mapping[str, Collection[str]]) -> list[str]:
    """Those of the columns whose name suggests people, or did where they came from: ``c1 (from email)``.

    Args:
        columns: Of a result.
        renamed: Those of them (in lower case) that had other names where they came from, and those.
    """
    from datakeep.core.personal import personal_shown

    return [shown for name in columns if (shown := personal_shown(name, renamed.get(name.lower(), ())))]


def personal_note(found: Sequence[str], personal: str | None) -> str | None:
    """What to say of columns whose names suggest people; None where nothing is.

    Args:
        found: As :func:`personal_columns` tells them.
        personal: ``privacy.personal`` as it is stated.
    """
    from datakeep.core.personal import PERSONAL

    if not found or personal in PERSONAL:
        return None
    shown = ", ".join(found[:_NAMED])
    more = f" and {counted(len(found) - _NAMED, 'more column')}" if len(found) > _NAMED else ""
    if personal == "no":
        return f"stated as not personal: {shown}{more}, though the name may sound so"
    return (
        f"{shown}{more}: the name of a column suggests personal data; leave it out, or state with --privacy what "
        "it is"
    )
