"""What all formats share: frozen models, unknown fields kept, the ``format`` line, readable errors."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from datetime import date, datetime
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from datakeep.core.errors import InvalidFile, MisspelledField, UnknownFormat
from datakeep.core.names import nearest
from datakeep.core.secrets import find_secret
from datakeep.formats import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator


#: A commit's id, and a sha256 as it stands in our files.
COMMIT = r"^[0-9a-f]{40}([0-9a-f]{24})?$"
SHA256_ID = r"^sha256:[0-9a-f]{64}$"
_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
_FINDER = "pydantic.plugin._loader"
#: How many places of a misplaced field are named, and how deep they are looked for.
_NAMED = 3
_DEPTH = 3


def _date_or_datetime(value: Any) -> Any:
    """A day stays a day; a bare year, which counts as seconds for pydantic, is its first day."""
    if year := _year(value):
        return date(year, 1, 1)
    if isinstance(value, str) and len(value) == len("2026-11-01"):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return value
    return value


def _until(value: Any) -> Any:
    return date(year, 12, 31) if (year := _year(value)) else _date_or_datetime(value)


def _year(value: Any) -> int | None:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if re.fullmatch(r"[12][0-9]{3}", text) else None


#: A day, or a moment with or without zone; a day stays a day.
When = Annotated[datetime | date, BeforeValidator(_date_or_datetime)]
#: The same of an end: a bare year is its last day.
Until = Annotated[datetime | date, BeforeValidator(_until)]


def is_after(one: datetime | date, other: datetime | date) -> bool:
    """Whether ``one`` is later than ``other``; where one is a day, or has no zone, their days are compared."""
    if isinstance(one, datetime) and isinstance(other, datetime) and bool(one.tzinfo) == bool(other.tzinfo):
        return one > other
    return _day_of(one) > _day_of(other)


def _day_of(value: datetime | date) -> date:
    return value.date() if isinstance(value, datetime) else value


@contextmanager
def _without_plugins() -> Iterator[None]:
    """For the length of a ``with`` block pydantic looks for no plugins: it would read the metadata of every package.

    Its switch is a variable of the environment, which is set for as long as that takes, so that neither models of
    others in this process nor programs that it starts later miss a plugin. Its finder of plugins, which loads the
    reader of metadata before it looks at the switch, is not loaded either, unless somebody has.
    """
    if _PLUGINS in os.environ:
        yield
        return
    nothing = None
    if _FINDER not in sys.modules:
        nothing = ModuleType(_FINDER)
        nothing.__dict__["get_plugins"] = tuple
        sys.modules[_FINDER] = nothing
    os.environ[_PLUGINS] = "__all__"
    try:
        yield
    finally:
        os.environ.pop(_PLUGINS, None)  # of two threads that make models at once, the second finds it gone
        if nothing is not None and sys.modules.get(_FINDER) is nothing:
            del sys.modules[_FINDER]


class Part(BaseModel):
    """A part of a file: frozen, and fields of later versions are kept."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        populate_by_name=True,
        ser_json_inf_nan="strings",
        hide_input_in_errors=True,  # a password that is refused must not stand in a traceback
        defer_build=True,  # a command pays only for the models that it uses
    )

    @classmethod
    def model_rebuild(cls, *, _parent_namespace_depth: int = 2, **options: Any) -> bool | None:
        """Make the validator, if there is none yet: pydantic calls it when a model is first used."""
        if cls.__pydantic_complete__ and not options.get("force"):
            return None
        with _without_plugins():
            return super().model_rebuild(_parent_namespace_depth=_parent_namespace_depth + 1, **options)

    def unknown_fields(self) -> Iterator[tuple[str, type[Part]]]:
        """The dotted path of every field that the model does not know, with the model that it stands in."""
        for name in self.__pydantic_extra__ or {}:
            if not name.startswith("x-") and not type(self).takes_any_field():
                yield name, type(self)
        for name in type(self).model_fields:
            value = getattr(self, name)
            children = value if isinstance(value, list | tuple) else [value]
            for index, child in enumerate(children):
                if isinstance(child, Part):
                    shown = f"{name}[{index}]" if child is not value else name
                    yield from ((f"{shown}.{path}", kind) for path, kind in child.unknown_fields())

    @classmethod
    def takes_any_field(cls) -> bool:
        """Whether any further field has a meaning here."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, without what was never set."""
        type(self).model_rebuild()  # a part that was read with its whole has no writer of its own yet
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Document(Part):
    """A whole file; its ``format`` field names kind and major version."""

    kind: ClassVar[str]
    major: ClassVar[int] = 1

    @classmethod
    def format_line(cls) -> str:
        """``datakeep/<kind>/<major>``."""
        return f"datakeep/{cls.kind}/{cls.major}"

    @classmethod
    def read(cls, text: str | bytes, *, what: str) -> Self:
        """The document in YAML ``text``.

        Raises:
            InvalidFile: It does not parse or a value has a wrong type; lists every such field.
            UnknownFormat: It is another kind of file, or of a major version from the future.
        """
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return cls.of_plain(yaml.load_plain(data, what=what), what=what)

    @classmethod
    def of(cls, data: dict[str, Any], *, what: str) -> Self:
        """The document in ``data``; errors as in :meth:`read`."""
        return cls.of_plain(yaml.plain(data), what=what)

    @classmethod
    def of_plain(cls, data: dict[str, Any], *, what: str) -> Self:
        """As :meth:`of`, of what holds nothing but plain types."""
        check_format(data, cls, what)
        return validate(cls, data, what)

    def check_strict(self, *, what: str) -> None:
        """Refuses fields that do not exist; for files that a user hands in.

        Raises:
            MisspelledField: Names each such field and the one that was probably meant.
        """
        faults = [_misspelled(path, kind, type(self)) for path, kind in self.unknown_fields()]
        if faults:
            raise MisspelledField(
                f"{what}: {faults[0]}",
                next_step="correct the name, or begin it with 'x-' to keep it as your own",
                things=faults,
            )

    def dump(self) -> str:
        """The document as YAML text, ``format`` first."""
        return yaml.dump({"format": self.format_line(), **self.to_dict()})


def _misspelled(path: str, kind: type[Part], document: type[Document]) -> str:
    known = [field.alias or name for name, field in kind.model_fields.items()]
    word = path.rpartition(".")[2]
    elsewhere = [place for place in _places(document) if place.rpartition(".")[2] == word and "." in place]
    if elsewhere and word not in known:
        meant = " or ".join(map(repr, elsewhere[:_NAMED]))
        return f"there is no field {path!r}; did you mean {meant}?"
    near = nearest(word, known)
    return f"there is no field {path!r}" + (
        f"; did you mean {near!r}?" if near else f"; known are {', '.join(known)}"
    )


def _places(kind: type[Part], prefix: str = "", depth: int = 0) -> Iterator[str]:
    """The dotted path of every field of a model and of the models in it, those in lists apart."""
    for name, field in kind.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        yield path
        for inner in _models_in(field.annotation) if depth < _DEPTH else ():
            yield from _places(inner, f"{path}.", depth + 1)


def _models_in(annotation: Any) -> Iterator[type[Part]]:
    """The models that a field may hold as its value; what stands in lists and mappings has no path of its own."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, Annotated):
        for one in get_args(annotation):
            yield from _models_in(one)


def check_format(data: dict[str, Any], kind: type[Document], what: str) -> None:
    """Refuses a file of another kind, or of a major version that is not known.

    Raises:
        UnknownFormat: Says which it is, and what can be done.
    """
    line = data.get("format")
    if line == kind.format_line():
        return
    head, _, major = str(line).rpartition("/")
    if head == f"datakeep/{kind.kind}" and major.isdigit() and int(major) > kind.major:
        raise UnknownFormat(
            f"{what} has the format {line!r}, newer than this datakeep reads ({kind.format_line()!r})",
            next_step="upgrade datakeep: pip install --upgrade datakeep",
        )
    said = f"has the format {line!r}" if line is not None else "has no 'format' line"
    raise UnknownFormat(f"{what} {said}; {kind.format_line()!r} is needed", next_step=f"correct {what}")


_Model = TypeVar("_Model", bound=Part)


def validate(kind: type[_Model], data: dict[str, Any], what: str) -> _Model:
    """``data`` as a ``kind``.

    Raises:
        InvalidFile: Lists every field that has a wrong value, and what it should be.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        faults = _faults(error, data)
        raise InvalidFile(
            f"{what}: {faults[0]}" + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""),
            next_step=f"correct {what}; `datakeep schema` prints what each field holds",
            things=faults,
        ) from error


def _faults(error: ValidationError, data: dict[str, Any]) -> list[str]:
    """One line per field; the branches of a union are one fault, not several."""
    lines: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        place = [part for part in fault["loc"] if not _names_a_branch(part)]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        message = fault["msg"].removeprefix("Value error, ")
        said = f"{path or 'the file'}: {message[:1].lower()}{message[1:]}"
        given = _meant(data, place) if fault["type"] == "missing" else f" (it is {_shown(fault['input'])})"
        lines.setdefault(path, said + given)
    # Of a union, the branch that fits best says what is wrong inside the value; the others that it is one.
    return [
        line
        for path, line in lines.items()
        if not any(other.startswith((f"{path}.", f"{path}[")) for other in lines)
    ]


def _meant(data: Any, place: list[int | str]) -> str:
    """The key that stands where a missing one was probably meant to."""
    try:
        for part in place[:-1]:
            data = data[part]
        near = nearest(str(place[-1]), [str(key) for key in data])
    except (KeyError, IndexError, TypeError):
        return ""
    return f" (is {near!r} meant to be it?)" if near else ""


def _names_a_branch(part: int | str) -> bool:
    return isinstance(part, str) and (
        part[:1].isupper() or "[" in part or part in ("str", "date", "datetime")
    )


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    if find_secret(text):
        return "not repeated here"
    return text if len(text) <= 60 else text[:57] + "…"
