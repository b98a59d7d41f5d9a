"""What an expression lets through of the values that it is made of, and the names that its own words tell of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from datakeep.extract.sql.outputs import Output, Outputs, others
from datakeep.extract.sql.stars import is_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What makes of a value one that tells of nobody: a count, a length, a place, whether something holds.
_LOSING = (
    exp.Count, exp.CountIf, exp.ApproxDistinct, exp.Hll, exp.Length, exp.ByteLength, exp.BitLength, exp.ArraySize,
    exp.StrPosition, exp.RegexpCount, exp.RegexpInstr, exp.ArrayPosition, exp.StartsWith,
    exp.EndsWith, exp.Contains, exp.JSONType, exp.Typeof, exp.Predicate,
)  # fmt: skip
#: The same of functions that sqlglot has no type for in every dialect.
_LOSING_NAMES = re.compile(
    r"(octet|bit|char|character|array|jsonb?_array|json)_length|length(b|c|2|4)|datalength|vsize|strlen|cardinality"
    r"|array_(ndims|upper|lower)|strpos|position|instr|locate|charindex|patindex|regexp_(count|instr)|find_in_set"
    r"|(array|list)_(position|contains|count|unique)|num_(non)?nulls|pg_column_size|starts_with|ends_with"
    r"|strcmp|(pg_|jsonb?_)?typeof|json_type|jsonb?_(path_)?exists(_any|_all)?|json_contains(_path)?|json_valid"
    r"|isjson|is(not)?null|hll|approx_\w+",
    re.IGNORECASE,
)
#: Functions of which a text among the arguments may name what is taken.
_TAKES_BY_NAME = re.compile(
    r"json|xml|xpath|struct|variant|element_?at|map|get|value|nodes|query", re.IGNORECASE
)
#: What a path in JSON or XML consists of, but for places in an array.
_STEP = re.compile(r"[^\W\d]\w*")
#: What a text within a path may stand in.
_AROUND = (exp.Array, exp.Tuple, exp.Paren)
_PATHS = (exp.Bracket, exp.PathColumnConstraint)
_NO_TAKING = (exp.Cast, exp.JSONBDeleteAtPath, exp.JSONRemove)
_DEFINES = (exp.ColumnDef, exp.JSONColumnDef, exp.OpenJSONColumnDef)
#: Dialects in which a function can be called as a method of a column: ``email.lower()``.
_WITH_METHODS = frozenset({"duckdb", "tsql"})
#: What functions in FROM call their columns where the query does not say; and those that tell a place or a kind.
_USUAL = (
    "value", "key", "element", "unnest", "item", "this", "path", "atom", "fullkey", "column_value", "col",
)  # fmt: skip
_PLACES = frozenset({"index", "seq", "pos", "ordinality", "offset", "type", "id", "parent"})


def inputs(node: exp.Expr) -> list[exp.Expr]:
    """The parts of ``node`` whose values may be read in what comes out of it."""
    if isinstance(node, exp.Window | exp.Filter):
        return [node.this]  # what rows are told apart by is not what comes out
    if isinstance(node, (exp.Case, exp.If, exp.Nvl2, *_DEFINES)):  # a condition, or a name
        return [one for one in node.iter_expressions() if one.arg_key != "this"]
    if isinstance(node, exp.ArgMax | exp.ArgMin):  # by which the row is chosen is not what comes out
        return [node.this]
    if isinstance(node, exp.DecodeCase):
        return list(node.expressions[1:])
    if isinstance(node, exp.Ordered) and not _is_within_group(node):
        return []
    called = isinstance(node, exp.Anonymous) and _LOSING_NAMES.fullmatch(node.name)
    if called or isinstance(node, (*_LOSING, exp.TableAlias, exp.DataType)):
        return []
    return list(node.iter_expressions())


def _is_within_group(node: exp.Expr) -> bool:
    """Whether what orders the values of an aggregate is what it gives, as of ``mode() WITHIN GROUP``."""
    return isinstance(node.parent, exp.Order) and isinstance(node.parent.parent, exp.WithinGroup)


def words(node: exp.Expr) -> Iterator[str]:
    """The names that ``node`` itself takes a value by: ``email`` of ``(c).email`` and of ``'$.email'``."""
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        yield node.expression.name
    elif isinstance(node, exp.JSONPathKey) and isinstance(node.this, str):
        yield node.this
    elif isinstance(node, exp.Literal) and node.is_string and _is_path(node):
        yield from reversed(_STEP.findall(node.name))


def is_bare(node: exp.Expr, dialect: str) -> bool:
    """Whether it may be a column that the parser took for a plain word: ``email.lower()``, ``f(doc -> 'email')``."""
    if not isinstance(node, exp.Identifier):
        return False
    above = node.parent
    if isinstance(above, exp.Dot) and node.arg_key == "this":
        # Elsewhere a function behind a word is that of a schema.
        return not isinstance(above.expression, exp.Func) or dialect in _WITH_METHODS
    return isinstance(above, exp.Lambda) and node.arg_key == "expressions"


def is_every(node: exp.Expr) -> bool:
    """Whether it stands for every column within an expression: ``struct(*)``, ``max(COLUMNS(*))``, ``#2``."""
    return isinstance(node, exp.Star | exp.PositionalColumn) or is_columns(node)


def _is_path(text: exp.Expr) -> bool:
    above = text.parent
    while isinstance(above, _AROUND):
        above = above.parent
    if isinstance(above, exp.Anonymous):
        return bool(_TAKES_BY_NAME.search(above.name))
    named = not isinstance(above, _NO_TAKING) and _TAKES_BY_NAME.search(type(above).__name__)
    return bool(named) or is_columns(above) or isinstance(above, (*_PATHS, exp.Lambda))


def keys_wanted(select: exp.Select) -> Iterator[str]:
    """The texts that conditions of ``select`` ask for, as ``WHERE key = 'email'`` does for a document's rows."""
    asked = [select.args.get("where"), *(join.args.get("on") for join in select.args.get("joins") or ())]
    for condition in filter(None, asked):
        for text in condition.find_all(exp.Literal):
            yield from _STEP.findall(text.name) if text.is_string else ()


def of_call(source: exp.Expr, taken: tuple[str, ...]) -> Outputs:
    """The columns of a function in FROM, as far as the text tells their names.

    Args:
        source: Its place in FROM, with its alias.
        taken: The names of all that goes into it; each column may hold whatever that is.
    """
    defined = [one.this.name for one in source.find_all(exp.JSONColumnDef, exp.OpenJSONColumnDef) if one.this]
    for table in source.find_all(exp.XMLTable):
        defined += [one.name for one in table.args.get("columns") or ()]
    names, places = [*source.alias_column_names, *defined], [""]
    call = source.this if isinstance(source, exp.Table | exp.Lateral) else source
    own = call.name if isinstance(call, exp.Anonymous) else ""
    if not names:
        names = [*_USUAL, source.alias, own]
        places = [one for one in _PLACES if one != source.alias.lower()]
    elif isinstance(call, exp.Explode | exp.Posexplode):  # whose columns the parser names itself
        places = [one for one in names if one.lower() in _PLACES]
    found = [Output(name) for name in places if name]
    found += [Output(name, others(name, taken)) for name in names if name and name not in places]
    return Outputs(tuple(found), rest=taken if own and not source.alias_column_names and not defined else ())


def pivoted(found: Outputs, pivot: exp.Expr) -> Outputs:
    """The columns behind a PIVOT or UNPIVOT of ``found``: those, and what it makes of them."""
    taken, names = _taken(pivot)
    known = found.by_name()
    former: list[str] = []
    left = list(taken)
    while left:
        node = left.pop(0)
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            former += (node.name, *known.get(node.name.lower(), found.unsaid))
        elif is_every(node) or isinstance(node, exp.Column):
            former += found.names()
        else:
            left += inputs(node)
    group = pivot.args.get("group")
    kept = [one.name for one in group.find_all(exp.Column) if one.name.lower() not in known] if group else []
    made = [*map(Output, kept), *(Output(name, others(name, former)) for name in names)]
    rest = found.unsaid if names else others("", [*found.unsaid, *former])
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
