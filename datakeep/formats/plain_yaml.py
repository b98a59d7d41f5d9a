"""Reading thousands of plain YAML files: through libyaml where that cannot make a difference.

The parser that keeps comments takes milliseconds for each file, which is minutes for a large keep. libyaml is
written in C, but knows YAML 1.1. So only a text without anything on which the two disagree is given to it (no
anchors, tags, comments, unusual escapes, tabs or unusual line ends), the meaning of each plain value is asked of the
other parser's own rules, and whatever is in doubt (a float in an unusual form, a key twice, an error) is left to the
other parser. Where PyYAML or libyaml is not there, all is. A test holds the two to the same values.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
#: A float as Python writes it.
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,300})\.[0-9]{1,300}(?:e[-+]?[0-9]{1,3})?")
#: What is text by the rules of the other parser: it begins as no number does and is no word of YAML, or it is a day,
#: a moment, a digest (no number has these letters, but one that begins with 0x), or digits with colons between.
_TEXT = re.compile(
    r"(?!(?i:true|false|null)\Z)[^-+0-9.~<=].*"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+)?)?"
    r"|(?!0[xX])[0-9][0-9a-f]*[acdf][0-9a-f]*"
    r"|[0-9]+:[0-9:]*",
    re.DOTALL,
)
#: What the two read differently, or may: such a text is not read here.
_DOUBTFUL = re.compile(
    "[&*!%#\\\\\t\r\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff]|<<|[|>](?![-+]?\n)|^---|^\\.\\.\\.|\\? ",
    re.MULTILINE,
)
#: A line that is a whole value, with its key or in a list, in which those stand for themselves: queries are full of
#: them. In double quotes with the escapes alone that mean the same to both, else without any, wherever it stands.
_ORDINARY = r"[^\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff"
_WHOLE = re.compile(
    r"^ *(?:- |(?:- )?[A-Za-z_][A-Za-z0-9_]*: )"
    rf"""(?:"(?:{_ORDINARY}"]|\\[nt"\\])*"|'(?:{_ORDINARY}']|'')*'|[A-Za-z]{_ORDINARY}:#'"]*)$""",
    re.MULTILINE,
)
#: Blocks that may be nested, and brackets that may stand in each other: libyaml recurses, and ends the process
#: when the stack does. The first of a nested block stands further right, by a column at least, than what it is in.
_DEEP = re.compile("^[ ?:-]{200}", re.MULTILINE)
_MOST_BRACKETS = 1_000
_TAG = "tag:yaml.org,2002:"


class Doubt(Exception):
    """The other parser must read it."""


def read(text: str) -> Any:
    """The value of ``text`` in plain types.

    Raises:
        Doubt: It may not be what the other parser would read.
    """
    loader = _loader()
    if loader is None or _is_doubtful(text) or _is_deep(text):
        raise Doubt
    try:
        node = loader(text).get_single_node()
    except Exception as error:  # whatever is wrong, the other parser has the words for it
        raise Doubt from error
    if node is None:
        raise Doubt
    return _value(node, 1)


def _is_doubtful(text: str) -> bool:
    return bool(_DOUBTFUL.search(text) and _DOUBTFUL.search(_WHOLE.sub("", text)))


def _is_deep(text: str) -> bool:
    """Whether values may be nested in more levels than there is room for on the stack of a thread."""
    brackets = sum(text.count(one) - text.count(f"{one}{end}") for one, end in ("[]", "{}"))
    return brackets > _MOST_BRACKETS or _DEEP.search(text) is not None


def _value(node: Any, depth: int) -> Any:
    if depth > 40:  # the bound of yaml.load, which has the words for it
        raise Doubt
    if node.id == "mapping":
        found = {_key(key): _value(value, depth + 1) for key, value in node.value}
        if len(found) != len(node.value):
            raise Doubt
        return found
    if node.id == "sequence":
        return [_value(one, depth + 1) for one in node.value]
    return node.value if node.style else _plain(node.value)


def _key(node: Any) -> str:
    key = (
        node.value
        if node.id == "scalar" and node.style
        else _plain(node.value)
        if node.id == "scalar"
        else None
    )
    if not isinstance(key, str):
        raise Doubt
    return key


def is_text(text: str) -> bool:
    """Whether this would be read as the same text if it stood without quotes, as far as quotes alone matter.

    Raises:
        Doubt: Only the other parser knows.
    """
    return type(_plain(text)) is str


@lru_cache(maxsize=65_536)
def _plain(text: str) -> Any:
    """What a value without quotes means, by the rules of the other parser, which most values need not ask."""
    if _TEXT.fullmatch(text):
        return text
    if _INTEGER.fullmatch(text) and text != "-0":
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    tag = _resolver()(text)
    if tag == f"{_TAG}str":
        return text
    if tag == f"{_TAG}null":
        return None
    if tag == f"{_TAG}bool" and text in ("true", "false"):
        return text == "true"
    raise Doubt


@cache
def _resolver() -> Any:
    from ruamel.yaml.nodes import ScalarNode

    from datakeep.formats import yaml

    resolver = yaml.resolver()
    return lambda text: str(resolver.resolve(ScalarNode, text, (True, False)))


@cache
def _loader() -> Any:
    """PyYAML's loader over libyaml, without any rules of its own; None where that is not there."""
    try:
        from yaml.cyaml import CParser
        from yaml.resolver import BaseResolver
    except ImportError:
        return None

    class Loader(CParser, BaseResolver):  # type: ignore[misc]  # untyped
        """Nodes, and nothing made of them."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            BaseResolver.__init__(self)

        def resolve(self, kind: Any, value: Any, implicit: Any) -> str:  # noqa: ARG002  (PyYAML's signature)
            """What a value means is not asked of PyYAML, which knows YAML 1.1."""
            return _TAG

        def descend_resolver(self, current_node: Any, current_index: Any) -> None:
            """Nothing depends on where a value stands."""

        def ascend_resolver(self) -> None:
            """Likewise."""

    return Loader
