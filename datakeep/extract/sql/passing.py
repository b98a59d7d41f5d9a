"""What an expression lets through of the values that it is made of, and the names that its own words tell of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.outputs import Output, Outputs, others

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What makes of a value one that tells of nobody: a count, a length, a place, whether something holds.
_LOSING = (
    exp.Count, exp.CountIf, exp.ApproxDistinct, exp.Length, exp.ByteLength, exp.BitLength, exp.ArraySize,
    exp.StrPosition, exp.StartsWith, exp.EndsWith, exp.Contains, exp.Predicate,
)  # fmt: skip
#: The same of functions that sqlglot has no type for in every dialect.
_LOSING_NAMES = re.compile(
    r"(octet|bit|char|character|array|jsonb?_array)_length|cardinality|array_(ndims|upper|lower)|json_length"
    r"|strpos|position|instr|locate|charindex|patindex|num_(non)?nulls|pg_column_size|starts_with|ends_with"
    r"|(pg_|jsonb?_)?typeof|json_type",
    re.IGNORECASE,
)
#: Functions of which a text among the arguments may name what is taken.
_TAKES_BY_NAME = re.compile(r"json|xml|xpath|struct|variant|element_at|map", re.IGNORECASE)
#: What a path in JSON or XML consists of, but for places in an array.
_STEP = re.compile(r"[^\W\d]\w*")
_PATHS = (
    exp.Bracket, exp.JSONColumnDef, exp.OpenJSONColumnDef, exp.PathColumnConstraint, exp.JSONExtract,
    exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar, exp.StructExtract,
)  # fmt: skip
#: What functions in FROM call their columns where the query does not say.
_USUAL = (
    "value", "key", "element", "unnest", "item", "this", "path", "index", "seq", "atom", "fullkey",
    "column_value", "col",
)  # fmt: skip


def keeps(node: exp.Expr) -> bool:
    """Whether a value that goes into ``node`` may be read in what comes out."""
    if isinstance(node, exp.Ordered):  # by what an aggregate is ordered; some have their value there
        return isinstance(node.parent, exp.Order) and isinstance(node.parent.parent, exp.WithinGroup)
    called = isinstance(node, exp.Anonymous) and _LOSING_NAMES.fullmatch(node.name)
    return not called and not isinstance(node, _LOSING)


def words(node: exp.Expr) -> Iterator[str]:
    """The names that ``node`` itself takes a value by: ``email`` of ``(c).email`` and of ``'$.email'``."""
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        yield node.expression.name
    elif isinstance(node, exp.JSONPathKey) and isinstance(node.this, str):
        yield node.this
    elif isinstance(node, exp.Literal) and node.is_string and _is_path(node.parent):
        yield from reversed(_STEP.findall(node.name))


def _is_path(above: exp.Expr | None) -> bool:
    if isinstance(above, exp.Func) and not isinstance(above, (exp.Cast, *_PATHS)):
        name = above.name if isinstance(above, exp.Anonymous) else above.sql_name()
        return bool(_TAKES_BY_NAME.search(name))
    return isinstance(above, _PATHS)


def columns_of_call(source: exp.Expr) -> tuple[list[str], bool]:
    """What a function in FROM calls its columns, as far as the text tells, and whether those may be all.

    Args:
        source: Its place in FROM, with its alias.
    """
    defined = [one.this.name for one in source.find_all(exp.JSONColumnDef, exp.OpenJSONColumnDef) if one.this]
    for table in source.find_all(exp.XMLTable):
        defined += [one.name for one in table.args.get("columns") or ()]
    listed = [*source.alias_column_names, *defined]
    if listed:
        return listed, True
    call = source.this if isinstance(source, exp.Table | exp.Lateral) else source
    own = call.name if isinstance(call, exp.Anonymous) else ""
    return [*_USUAL, *filter(None, (source.alias, own))], not isinstance(call, exp.Anonymous)


def pivoted(found: Outputs, pivot: exp.Expr) -> Outputs:
    """The columns behind a PIVOT or UNPIVOT of ``found``: those, and what it makes of them."""
    taken, names = _taken(pivot)
    known = found.by_name()
    columns = [column.name for one in taken for column in one.find_all(exp.Column)]
    former = [name for one in columns for name in (one, *known.get(one.lower(), found.rest))]
    if any(one.find(exp.Star, exp.Columns) for one in taken):
        former += found.names()
    group = pivot.args.get("group")
    kept = [one.name for one in group.find_all(exp.Column) if one.name.lower() not in known] if group else []
    made = [*map(Output, kept), *(Output(name, others(name, former)) for name in names)]
    rest = found.rest if names else others("", [*found.rest, *former])
    return Outputs((*found.columns, *made), rest=rest).called(pivot.alias_column_names)


def _taken(pivot: exp.Expr) -> tuple[list[exp.Expr], list[str]]:
    """What a PIVOT or UNPIVOT takes its values from, and what it calls them, unless the data say that."""
    into, using = pivot.args.get("into"), pivot.args.get("using")
    fields = pivot.args.get("fields") or []
    given = pivot.expressions
    if not pivot.args.get("unpivot"):
        taken = [using] if isinstance(using, exp.Expr) else list(using or ()) or (given if fields else [])
        return taken, [one.name for one in pivot.args.get("columns") or ()]
    if fields:  # the standard's: its expressions are the new names
        taken = [one for field in fields for one in field.expressions]
        return taken, [one.name for value in given for one in (value.find_all(exp.Identifier))]
    return given, [one.name for one in into.expressions] if into else ["value"]
