"""``check-sql``: is what a query gives derivable again, and is it one SELECT at all?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import SourceMissing, SourceUnreadable, UsageError
from datakeep.repository.scratch import scratch
from datakeep.workflows.query_secrets import refuse_in_query
from datakeep.workflows.query_words import told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from datakeep.extract.sql.advice import Advice, JoinCount
    from datakeep.extract.sql.interface import Database, Parameter, Session, Statement, Table
    from datakeep.extract.sql.lineage import TableRead


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        statement: The query.
        advice: What there is to report, in the order of the text.
        tables: The tables, views and files that it reads, as it writes them.
        reads: The same as the catalogue knows them, through views too; None without a database.
        joins: What was counted of joins that no key vouches for; None without a database.
        notes: What was not looked at, and what was found to be well.
    """

    statement: Statement
    advice: tuple[Advice, ...]
    tables: tuple[str, ...]
    reads: tuple[TableRead, ...] | None = None
    joins: tuple[JoinCount, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def derivable(self) -> bool:
        """Whether nothing was found that lets another run give other rows."""
        from datakeep.extract.sql.advice import DERIVABILITY

        return not any(one.id in DERIVABILITY for one in self.advice)


def check_sql(
    path: Path,
    dialect: str | None,
    parameters: Sequence[str] = (),
    database: Database | None = None,
) -> Checked:
    """Read a query and say what makes it impossible to derive its result again.

    Args:
        path: The file with the SQL, in UTF-8.
        dialect: As sqlglot names it; by default the database's, or PostgreSQL's.
        parameters: ``name=value`` and the like; held against the query's placeholders if any are given.
        database: Asked for keys, views and how many rows joins repeat; None looks at the text alone.

    Raises:
        SourceMissing, SourceUnreadable: The file is not there, or not text.
        QueryRefused: It is not one SELECT, or its parameters do not fit.
        SecretFound: A password stands in the text, or in a parameter.
        UsageError: There is no such dialect, or it is not the database's, or a parameter is malformed.
        DatabaseUnreachable, AccessDenied, DriverMissing, QueryFailed: As the database says.
    """
    from datakeep.extract.sql.advice import advise
    from datakeep.extract.sql.lineage import read_tables, trace
    from datakeep.extract.sql.passwords import passwords_of
    from datakeep.extract.sql.statement import check_parameters, parameters_of, parse

    text, given = read_sql(path), parameters_of(parameters)
    if database is not None:
        refuse_in_query(database.address, str(path), text, parameters, {})
    with told(str(path)):
        statement = parse(text, _dialect(dialect, database))
        if given:
            check_parameters(statement, given)
    said = tuple(_remarks(statement, given, parameters))
    tables = tuple(read_tables(statement))
    if database is not None:
        secrets = passwords_of(database.address)
        with (
            scratch() as database.scratch,
            told(str(path), database=database.address.shown, secrets=secrets),
            database.session() as session,
        ):
            known = session.tables(tables) if tables else {}
            if not session.check(statement, given):
                said += ("the database was not asked whether it takes the query",)
            said += tuple(_order_remark(statement, known))
            found = with_catalogue(statement, tables, known, session, said)
            return replace(found, reads=tuple(trace(statement, session.tables)))
    notes = ("keys and joins were not looked at: --database URL asks the database for them",)
    return Checked(statement, tuple(advise(statement, None)), tables, notes=notes + said)


def read_sql(path: Path) -> str:
    """The text of a file with SQL; a byte order mark is no part of it, line ends stay as they are.

    Raises:
        SourceMissing, SourceUnreadable: The file is not there, or not UTF-8 text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SourceMissing(
            f"there is no file {path}", next_step="name the file that holds the SELECT"
        ) from error
    except UnicodeDecodeError as error:
        raise SourceUnreadable(f"{path} is not UTF-8 text", next_step=f"save {path} as UTF-8") from error
    except OSError as error:
        raise SourceUnreadable(
            f"{path} cannot be read: {error.strerror}",
            next_step=f"name a file that you may read: ls -l {path}",
        ) from error


def _dialect(named: str | None, database: Database | None) -> str:
    own = database.address.dialect if database else None
    if named and own and named != own:
        raise UsageError(
            f"--dialect {named} is not that of the database, which is {own}",
            next_step="leave --dialect out: the database's own is taken",
        )
    return named or own or "postgres"


def _remarks(statement: Statement, given: Mapping[str, Parameter], options: Sequence[str]) -> Iterator[str]:
    """What is no finding and worth a word: parameters without a value, or with an odd one, and no fixed order."""
    from datakeep.extract.sql.mistyped import doubts

    if statement.parameters and not given:
        names = ", ".join(f":{name}" for name in statement.parameters)
        yield f"{counted(len(statement.parameters), 'parameter')} without a value: {names}"
    yield from doubts(options)
    if not (statement.ordered or statement.single):
        yield (
            "no ORDER BY: the rows come in no fixed order, and the same rows in another order are other bytes; "
            "ORDER BY a key makes them the same"
        )


def _order_remark(statement: Statement, tables: Mapping[str, Table]) -> Iterator[str]:
    """Where an ORDER BY is without a key, whether there is one or not; files have none that anybody could sort by."""
    from datakeep.extract.sql.ties import doubtful_order

    sorting = doubtful_order(statement, tables)
    if sorting is None or not tables or any(table.kind == "file" for table in tables.values()):
        return
    way_out = "" if sorting.keyed else " (not every table has one)"
    yield (
        "the ORDER BY is not known to leave no ties, whose order is the database's choice, and the same rows in "
        f"another order are other bytes; the columns of a key at its end make them the same{way_out}"
    )


def with_catalogue(
    statement: Statement,
    names: tuple[str, ...],
    tables: Mapping[str, Table],
    session: Session,
    notes: tuple[str, ...],
) -> Checked:
    """What a check finds that may ask a database: keys, views, and how many rows joins repeat.

    ``tables`` is what the session has of ``names``: asking once more would read files that a query names once more.
    """
    from datakeep.extract.sql.advice import advise, verify_joins
    from datakeep.extract.sql.advice_views import definitions, unseen

    unknown = [name for name in names if name not in tables]
    if unknown:
        notes += (f"not in the database's catalogue, so that their keys are unknown: {', '.join(unknown)}",)
    counts = verify_joins(statement, tables, session.ask)
    at = {(one.line, one.column): one for one in counts}
    found = []
    hidden = unseen(statement, tables, session.tables, session.volatile)
    views = definitions(tables, statement.dialect, session.tables)
    for one in sorted({*advise(statement, tables, views), *hidden}):
        count = at.get((one.line, one.column)) if one.id == "join-multiplies" else None
        if count is None:
            found.append(one)
        elif count.multiplies:
            found.append(replace(one, what=f"{one.what}; {count}"))
    notes += tuple(
        f"{one.line}:{one.column}: {one}; nothing in the database keeps it so"
        for one in counts
        if not one.multiplies
    )
    return Checked(statement, tuple(found), names, None, tuple(counts), notes)
