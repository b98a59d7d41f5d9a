"""Values for the placeholders of a query: from ``--param`` or from YAML, with their types."""

from __future__ import annotations

import math
import re
import shlex
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, cast, get_args

from datakeep.core.errors import SecretFound, UsageError
from datakeep.core.names import nearest
from datakeep.core.parameter_types import DATE, INTEGER, TIMESTAMP, type_of_text
from datakeep.core.secrets import find_secret
from datakeep.extract.sql.faults import QueryRefused
from datakeep.extract.sql.interface import Parameter, ParameterType
from datakeep.extract.sql.mistyped import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from datakeep.extract.sql.interface import Statement

_TYPES: tuple[str, ...] = get_args(ParameterType)
_FORM = re.compile(r"(?P<name>[^\W\d]\w*)(?::(?P<type>\w*)(?P<null>:null)?)?(?:=(?P<value>.*))?", re.DOTALL)
_USE = "write --param name=value, --param name:type=value, or --param name:type:null"
_USE_YAML = "write in source.parameters name: value, or name: {type: …, value: …}"
_EXAMPLES = {
    "text": "Tokyo", "integer": "12", "decimal": "0.05", "double": "1.5e-3", "boolean": "true or false",
    "date": "2026-11-01", "timestamp": "2026-11-01T09:00:00+09:00",
}  # fmt: skip


class _Unreadable(ValueError):
    """A parameter cannot be read; ``step`` says what to write in its place."""

    def __init__(self, what: str, step: str) -> None:
        super().__init__(what)
        self.step = step


def parameters_of(
    options: Sequence[str], recorded: Mapping[str, Parameter] | None = None
) -> dict[str, Parameter]:
    """The parameters in ``name=value``, ``name:type=value`` and ``name:type:null``.

    Where no type is given, it is read from the value: ``12`` is an integer (``007`` is not: text), ``0.05`` a
    decimal, ``true`` and ``false`` booleans, ``2026-11-01`` a date, ``2026-11-01T09:00:00`` (``+09:00`` may follow) a
    timestamp, anything else text. A double is never guessed. ``name=`` is the empty text. Of a ``recorded`` parameter
    nothing is guessed: it keeps its type, for a query may give other rows for the text 12 than for the number.

    Args:
        options: As they were typed.
        recorded: Those with which the same query ran before.

    Raises:
        UsageError: One is malformed, named twice, or its value is not of its type; lists all such.
        SecretFound: A value is a password or token; it is not repeated.
    """
    found: dict[str, Parameter] = {}
    faults: list[ValueError] = []
    for option in options:
        try:
            name, parameter = _parameter(option, recorded or {})
        except ValueError as error:
            faults.append(error)
            continue
        if name in found:
            faults.append(_Unreadable(f"{name} is given twice", f"give --param {name} once"))
        found[name] = parameter
    _raise(faults, _USE)
    return found


def parameters_from_yaml(data: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters of a mapping from YAML: ``day: 2026-11-01``, or ``day: {type: date, value: 2026-11-01}``.

    Numbers and booleans keep YAML's type, but a number with a point becomes a decimal; texts are read as
    :func:`parameters_of` reads them. NULL needs its type: ``{type: date, value: null}``.

    Raises:
        UsageError: One is malformed, or its value is not of its type; lists all such.
        SecretFound: A value is a password or token; it is not repeated.
    """
    found = {}
    faults: list[ValueError] = []
    for name, stated in data.items():
        try:
            found[str(name)] = _from_yaml(str(name), stated)
        except ValueError as error:
            faults.append(error)
    _raise(faults, _USE_YAML)
    return found


def check_parameters(statement: Statement, parameters: Mapping[str, Parameter]) -> None:
    """Nothing, if each placeholder has a parameter and each parameter a placeholder.

    Raises:
        QueryRefused: Lists every one that is missing or superfluous, with what was probably meant.
    """
    wanted = statement.parameters
    missing = [name for name in wanted if name not in parameters]
    surplus = [name for name in parameters if name not in wanted]
    if not (missing or surplus):
        return
    texts = [name for name in quoted(statement, surplus) if name in surplus]
    things, meant_for = [], set()
    for name in missing:
        near = nearest(name, surplus)
        meant_for.add(near)
        things.append(f":{name} has no value" + (f"; was {near} meant for it?" if near else ""))
    for name in surplus:
        if name in meant_for:
            continue
        near = nearest(name, missing) or nearest(name, wanted)
        said = f"{name} is no parameter of the query, in which :{name} stands in quotes, as a text"
        meant = f"{name} is not in the query" + (f"; did you mean {near}?" if near else "")
        things.append(said if name in texts else meant)
    given = " ".join(f"--param {name}=…" for name in wanted)
    step = f"give exactly: {given}" if missing else f"leave it out; the query has {given}"
    step = step if wanted else "leave --param out: the query has no :name"
    if texts:
        whole = texts[0] in quoted(statement)
        step = f"remove the quotes in the query: write :{texts[0]}, not ':{texts[0]}'"
        step = step if whole else f"take it out of the text in the query: '…' || :{texts[0]} || '…'"
    raise QueryRefused(
        things[0] if len(things) == 1 else f"{len(things)} parameters do not fit the query",
        next_step=step,
        things=things,
    )


def _raise(faults: Sequence[ValueError], use: str) -> None:
    """Refuse them all; the way out is their own, as far as each has one."""
    if faults:
        steps = dict.fromkeys(getattr(fault, "step", use) for fault in faults)
        raise UsageError(
            str(faults[0]) if len(faults) == 1 else f"{len(faults)} parameters cannot be read",
            next_step="; ".join(steps),
            things=[str(fault) for fault in faults],
        )


def _parameter(option: str, recorded: Mapping[str, Parameter]) -> tuple[str, Parameter]:
    secret = find_secret(option)
    match = _FORM.fullmatch(option)
    if secret:
        _refuse_secret(match["name"] if match else "a parameter", secret)
    if match is None or (match["value"] is None) == (match["null"] is None):
        raise ValueError(f"'{option.partition('=')[0]}' is not name=value, name:type=value or name:type:null")
    name, kind = match["name"], match["type"]
    if kind is not None:
        _known_type(name, kind)
    if match["null"]:
        return name, Parameter(cast("ParameterType", kind), None)
    if kind is None and name in recorded:
        return name, _as_recorded(name, recorded[name].type, match["value"])
    try:
        return name, _typed(name, kind or type_of_text(match["value"]), match["value"])
    except ValueError as error:
        as_text = shlex.quote(f"{name}:text={match['value']}")
        meant = f"write --param {as_text} if it is a text, else a value of its type"
        raise _Unreadable(str(error), meant) from error


def _as_recorded(name: str, kind: str, value: str) -> Parameter:
    try:
        return _typed(name, kind, value)
    except ValueError as error:
        try:
            other = type_of_text(value)
            _typed(name, other, value)
        except ValueError:
            other = "text"
        typed = shlex.quote(f"{name}:{other}={value}")
        raise _Unreadable(
            f"{error}, which it is recorded as", f"if it is to be another type: --param {typed}"
        ) from error


def _refuse_secret(name: str, secret: str) -> None:
    raise SecretFound(
        f"the value of {name} is {secret}; parameters are written down with the dataset",
        next_step="do not pass it: the database's own URL or password file is where it belongs",
    )


def _known_type(name: str, kind: str) -> None:
    if kind not in _TYPES:
        near = nearest(kind, _TYPES)
        hint = f"did you mean {near}?" if near else f"one of {', '.join(_TYPES)}"
        raise ValueError(f"{name}: there is no type '{kind}'; {hint}")


def _typed(name: str, kind: str, value: str) -> Parameter:
    try:
        return Parameter(cast("ParameterType", kind), _READERS[kind](value))
    except (ValueError, InvalidOperation) as error:
        shown = f"'{value}'" if value else "nothing"
        raise ValueError(
            f"{name}: {shown} is not a value of type {kind}, such as {_EXAMPLES[kind]}"
        ) from error


def _boolean(value: str) -> bool:
    return {"true": True, "false": False}[value] if value in {"true", "false"} else _not()


def _not() -> bool:
    raise ValueError


def _decimal(value: str) -> Decimal:
    found = Decimal(value)
    if not found.is_finite() or value != value.strip() or "_" in value:
        raise ValueError
    return found


def _double(value: str) -> float:
    found = float(value)
    if not math.isfinite(found) or value != value.strip() or "_" in value:
        raise ValueError
    return found


def _integer(value: str) -> int:
    if not INTEGER.fullmatch(value):
        raise ValueError
    return int(value)


def _date(value: str) -> date:
    if not DATE.fullmatch(value):
        raise ValueError
    return date.fromisoformat(value)


def _timestamp(value: str) -> datetime:
    if not TIMESTAMP.fullmatch(value):
        raise ValueError
    return datetime.fromisoformat(value)


_READERS: dict[str, Callable[[str], Any]] = {
    "text": str, "integer": _integer, "decimal": _decimal, "double": _double, "boolean": _boolean, "date": _date,
    "timestamp": _timestamp,
}  # fmt: skip


def _from_yaml(name: str, stated: Any) -> Parameter:
    if not re.fullmatch(r"[^\W\d]\w*", name):
        raise ValueError(f"'{name}' is not a name: letters, digits and _, beginning with no digit")
    kind = None
    value = stated
    if isinstance(stated, dict):
        if set(stated) != {"type", "value"}:
            raise ValueError(f"{name}: write {{type: …, value: …}} or the value alone")
        kind, value = str(stated["type"]), stated["value"]
        _known_type(name, kind)
    if value is None:
        if kind is None:
            raise ValueError(f"{name}: NULL needs its type: {{type: date, value: null}}")
        return Parameter(cast("ParameterType", kind), None)
    if not isinstance(value, str | int | float | date | Decimal):
        raise ValueError(f"{name}: a list or mapping is not one value")  # noqa: TRY004  collected with the others
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if secret := find_secret(text):
        _refuse_secret(name, secret)
    if kind is None and isinstance(value, float) and not isinstance(value, bool):
        kind = "decimal"
    try:
        return _typed(name, kind or type_of_text(text), text)
    except ValueError as error:
        raise _Unreadable(str(error), f"write {name}: {{type: text, value: …}} if it is a text") from error
