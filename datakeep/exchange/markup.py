"""HTML and SVG that nothing in a name or a text can break out of: every text is escaped where it becomes markup."""

from __future__ import annotations

import html
import re

from datakeep.core.secrets import strip_urls

#: What a page would obey or a reader could not see: control characters, and what turns the direction of text.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
#: Elements that have no end tag.
_VOID = frozenset({"br", "meta", "hr"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    r"""``text`` as it can stand in a page: what would be obeyed is shown as ``\u202e``, no URL has a password."""
    stripped = strip_urls(text) if "://" in text else text
    shown = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), stripped)
    return Markup(html.escape(shown))


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """``<tag>children</tag>``; children that are no :class:`Markup` are escaped, None and ``""`` are left out.

    Args:
        tag: The element's name.
        children: What it holds.
        attributes: Their names, with ``_`` for ``-`` and without a last ``_`` (``class_``); None is left out.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{given}>")
    return Markup(f"<{tag}{given}>{together(*children)}</{tag}>")


def together(*children: object) -> Markup:
    """The children one after the other."""
    shown = (child for child in children if child is not None and child != "")
    return Markup("".join(child if isinstance(child, Markup) else escaped(str(child)) for child in shown))
