"""How a parameter's value reaches PostgreSQL: bound to a setting of the transaction, which the query reads.

COPY, which streams, takes no parameters, and the driver fetches a query that has some into memory as a whole. So each
value is bound to ``$1`` of ``set_config(…, true)``, where no text of it can be taken for SQL, and ``:name`` becomes
``(current_setting(…)::type)``. That is as good as a constant to the planner, and ends with the transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from datakeep.extract.sql.faults import QueryRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.extract.sql.interface import Parameter, Statement

_TYPES = {"text": "text", "decimal": "numeric", "double": "float8", "boolean": "boolean", "date": "date"}
#: A whole number is of the first of these that holds it, as PostgreSQL takes one that is written in a query.
_WHOLE = (("integer", 31), ("bigint", 63))


def bound(
    statement: Statement, parameters: Mapping[str, Parameter]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """What stands for each placeholder in the query, and each setting with the value to bind to it.

    Raises:
        QueryRefused: A placeholder has no value, or one that PostgreSQL has no text for.
    """
    missing = [name for name in statement.parameters if name not in parameters]
    if missing:
        raise QueryRefused(
            f"the query's :{missing[0]} has no value",
            next_step=" ".join(f"--param {name}=VALUE" for name in missing),
        )
    expressions, settings = {}, []
    for number, name in enumerate(statement.parameters, 1):
        parameter = parameters[name]
        kind = _kind(parameter)
        if parameter.value is None:
            expressions[name] = f"(NULL::{kind})"
            continue
        setting = f"datakeep.p{number}"
        expressions[name] = f"(current_setting('{setting}')::{kind})"
        settings.append((setting, _written(name, parameter)))
    return expressions, settings


def _kind(parameter: Parameter) -> str:
    value = parameter.value
    if parameter.type == "integer":
        return next(
            (name for name, bits in _WHOLE if value is None or -(2**bits) <= value < 2**bits), "numeric"
        )
    if parameter.type == "timestamp":
        return "timestamptz" if isinstance(value, datetime) and value.tzinfo else "timestamp"
    return _TYPES[parameter.type]


def _written(name: str, parameter: Parameter) -> str:
    value = parameter.value
    if parameter.type in ("date", "timestamp"):
        return str(value.isoformat())
    if parameter.type == "double":
        return repr(float(value))
    text = str(value)
    if "\0" in text or (not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)):
        raise QueryRefused(
            f"the value of :{name} holds a character that PostgreSQL has no text for (NUL, or half of a pair)",
            next_step=f"give --param {name}=VALUE without it",
        )
    return text
