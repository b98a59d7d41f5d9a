"""YAML, read safely and written back with its comments.

Files come from repositories that may be hostile, so size, depth and the expansion of aliases are bounded
(a "YAML bomb" of nested aliases is refused, not expanded). Dates stay text: the models give them meaning,
and nothing is reformatted that the user did not change.
"""

from __future__ import annotations

import contextlib
import io
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import InvalidFile
from datakeep.formats import plain_yaml, written_yaml

if TYPE_CHECKING:
    from ruamel.yaml import YAML

MAX_SIZE_BYTES = 4 * 1024 * 1024
MAX_NODES = 200_000
MAX_DEPTH = 40
#: Of ``, : [ {`` and line ends, before parsing: a parser in Python takes a second for every 30,000 values.
MAX_MARKS = 400_000
_MARKS = ",:[{\n"
_LINE_ENDS = re.compile("[\r\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
#: What a terminal obeys instead of showing it; tab and line ends are fine.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")
#: What would make two lines of a file's name.
_BREAKS = re.compile("[\t\n\r\x85\u2028\u2029]")
#: Longer integers are refused: Python itself does not print them.
_MAX_INTEGER_BITS = 1024
#: What a parser of YAML raises by mistake, beside its own errors, when a document contradicts itself.
_MISTAKES = (RecursionError, ValueError, TypeError, LookupError, AttributeError)
#: A whole number that is written as Python writes it.
_AS_IT_IS = re.compile("0|-?[1-9][0-9]*")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


@cache
def _rules() -> tuple[Any, Any, Any]:
    """How values are read, and how they are written; made late, since most files are read without this parser."""
    from ruamel.yaml.constructor import RoundTripConstructor
    from ruamel.yaml.representer import RoundTripRepresenter
    from ruamel.yaml.resolver import VersionedResolver
    from ruamel.yaml.scalarint import ScalarInt

    class DatesAreText(VersionedResolver):
        """YAML 1.2 without the implicit timestamp: ``2026-11-01`` loads as that text and is written as it was."""

        def add_version_implicit_resolver(self, version: Any, tag: Any, regexp: Any, first: Any) -> None:
            if str(tag) != _TIMESTAMP:
                super().add_version_implicit_resolver(version, tag, regexp, first)

    class Quotes(RoundTripRepresenter):
        """Quotes text with Unicode's other line ends, which readers of unquoted YAML turn into spaces."""

        def represent_str(self, data: Any) -> Any:
            style = '"' if _LINE_ENDS.search(data) else None
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    class KeepsDigits(RoundTripConstructor):
        """Remembers how a whole number was written, for :func:`source_text`: ``007``, ``+5``."""

        def construct_yaml_int(self, node: Any) -> Any:
            value = super().construct_yaml_int(node)
            if _AS_IT_IS.fullmatch(node.value):
                return value
            kept: Any = value if isinstance(value, ScalarInt) else ScalarInt(value)
            kept.written = node.value
            return kept

    Quotes.add_representer(str, Quotes.represent_str)
    KeepsDigits.add_constructor("tag:yaml.org,2002:int", KeepsDigits.construct_yaml_int)
    return DatesAreText, Quotes, KeepsDigits


def _yaml() -> YAML:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.Resolver, yaml.Representer, yaml.Constructor = _rules()
    yaml.composer.warn_double_anchors = False
    yaml.preserve_quotes = True
    yaml.allow_unicode = True
    yaml.width = 1 << 16  # never break a line that its author did not break
    yaml.indent(mapping=2, sequence=2, offset=0)
    return yaml


def load(text: str | bytes, *, what: str) -> dict[str, Any]:
    """The mapping in ``text``; comments are kept with it, for :func:`dump`.

    Args:
        text: The document. Bytes are UTF-8.
        what: What is read, for messages: a path.

    Raises:
        InvalidFile: It is not YAML, not a mapping, not UTF-8, larger than 4 MB, deeper than 40 levels, a
            bomb (more than 200,000 keys and values once its aliases are expanded), or holds what neither JSON nor a
            terminal can show. Names line and column.
    """
    from ruamel.yaml.error import YAMLError

    size_bytes = len(text)
    if size_bytes > MAX_SIZE_BYTES:
        raise InvalidFile(
            f"{what} is larger than {MAX_SIZE_BYTES // 1024**2} MB", next_step="hand in a smaller file"
        )
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        if _marks(text) > MAX_MARKS:
            raise InvalidFile(f"{what} has too many values", next_step="hand in a smaller file")
        data = _yaml().load(text)
    except UnicodeDecodeError as error:
        raise InvalidFile(f"{what} is not UTF-8 text", next_step=f"save {what} as UTF-8") from error
    except (YAMLError, *_MISTAKES) as error:
        raise InvalidFile(f"{what} is not valid YAML{_place(error)}", next_step=f"correct {what}") from error
    if not isinstance(data, dict):
        raise InvalidFile(
            f"{what} holds {_kind(data)}, not 'key: value' lines",
            next_step=f"correct {what}; see `datakeep schema`",
        )
    _measure(data, what)
    return data


def _marks(text: str) -> int:
    return sum(map(text.count, _MARKS))


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or (
        "it is nested too deeply" if isinstance(error, RecursionError) else ""
    )
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{where}: {str(problem).splitlines()[0]}" if problem else where


def _kind(data: Any) -> str:
    return "nothing" if data is None else "a list" if isinstance(data, list) else "a single value"


def _measure(data: Any, what: str) -> None:
    """Refuses what would grow beyond all bounds when it is walked; the walk itself stops at the bound."""
    nodes = 0
    stack = [(data, 1)]
    while stack:
        value, depth = stack.pop()
        nodes += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            raise InvalidFile(
                f"{what} expands to more than {MAX_NODES} values or {MAX_DEPTH} levels, as a YAML bomb does",
                next_step="do not use this file; ask its author for a plain one",
            )
        if isinstance(value, dict):
            stack.extend((child, depth + 1) for child in (*value, *value.values()))
        elif isinstance(value, list | tuple):
            stack.extend((child, depth + 1) for child in value)
        else:
            _check_scalar(value, what)


def unshowable(text: str) -> str | None:
    """What ``text`` holds that neither a file of ours nor a terminal can show; None if it is plain text."""
    if not text.isascii() and _SURROGATE.search(text):
        return "half a character (a lone surrogate, or bytes that are not UTF-8)"
    return "a control character" if _CONTROL.search(text) else None


def showable(value: Any) -> Any:
    r"""``value`` with all that could not be read again written as it is escaped: ``\x1b``, a number as text.

    Args:
        value: Plain dicts, lists and scalars; keys are escaped too.
    """
    if isinstance(value, dict):
        return {showable(key): showable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [showable(inner) for inner in value]
    if isinstance(value, int) and value.bit_length() > _MAX_INTEGER_BITS:
        return hex(value)
    if not isinstance(value, str) or unshowable(value) is None:
        return value
    return _CONTROL.sub(_escaped, _SURROGATE.sub(_escaped, value))


def showable_path(path: str) -> str:
    """A file's name on one line, with what could not be read again as escapes."""
    return str(showable(_BREAKS.sub(_escaped, path)))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _check_scalar(value: Any, what: str) -> None:
    """Refuses single values that could not be written down again: they come from tags and escapes."""
    fault = None
    if isinstance(value, str):
        fault = unshowable(value)
    elif isinstance(value, int):
        fault = "a number that is too long" if value.bit_length() > _MAX_INTEGER_BITS else None
    elif not (value is None or isinstance(value, float)):
        fault = f"a value of the unusual type {type(value).__name__} (a YAML tag)"
    if fault:
        raise InvalidFile(f"{what} holds {fault}", next_step=f"write plain text or a number in {what}")


def dump(data: Any) -> str:
    """``data`` as YAML text, keys in their order, with the comments that :func:`load` kept."""
    with contextlib.suppress(plain_yaml.Doubt):
        return written_yaml.write(data)
    out = io.StringIO()
    _yaml().dump(data, out)
    return out.getvalue()


def as_written(value: Any) -> Any:
    """A value of :func:`load`; a number that its author wrote as ``0.10`` is that text, and no 0.1."""
    if isinstance(value, dict):
        return {key: as_written(inner) for key, inner in value.items()}
    if not isinstance(value, float) or type(value) is float:
        return value
    return dump({"value": value}).removeprefix("value: ").strip()


def source_text(value: Any) -> Any:
    """A number of :func:`load` as the text that its author wrote: ``007``, ``0x1F``, ``0.10``; else the value."""
    return getattr(value, "written", None) or as_written(value)


def is_quoted(value: Any) -> bool:
    """Whether a value of :func:`load` is a text that its author put in quotes, or into a block."""
    return isinstance(value, str) and type(value) is not str


def without_item(text: str, at: tuple[int, int]) -> str:
    """``text`` without the item of a block sequence whose first key stands at line and column ``at`` (from 0).

    Comments stay, also those above the item: nobody but their author knows what they are about.
    """
    lines = text.splitlines(keepends=True)
    first, column = at
    end = first + 1
    for number, line in enumerate(lines[first + 1 :], first + 1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            if len(line) - len(line.lstrip()) < column:
                break
            end = number + 1
    return "".join(lines[:first] + lines[end:])


def load_plain(text: bytes, *, what: str) -> dict[str, Any]:
    """As :func:`plain` of :func:`load`, and many times faster for most files of ours.

    Raises:
        InvalidFile: As :func:`load`.
    """
    with contextlib.suppress(plain_yaml.Doubt, UnicodeDecodeError):
        if len(text) <= MAX_SIZE_BYTES and _marks(written := text.decode("utf-8")) <= MAX_MARKS:
            data = plain_yaml.read(written)
            if isinstance(data, dict):
                if len(text) > MAX_NODES:  # of fewer bytes there are no more values
                    _measure(data, what)
                return data
    found: dict[str, Any] = plain(load(text, what=what))
    return found


def resolver() -> Any:
    """What tells the meaning of a value without quotes: ``1`` is a number, ``2026-11-01`` is text."""
    return _yaml().resolver


def plain(data: Any) -> Any:
    """``data`` as plain dicts, lists and scalars, without the comments."""
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    if isinstance(data, bool) or data is None:
        return data
    for kind in (str, int, float):
        if isinstance(data, kind):
            return kind(data)
    return data
