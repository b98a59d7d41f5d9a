"""What a derived dataset was made of: versions of this keep, or something outside that is named as such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.core.errors import UnknownName, UsageError
from datakeep.workflows import facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.workflows.keep import Keep

#: Before the name of something that no keep has; a URL needs no such word.
OUTSIDE = "external:"


def check_parents(keep: Keep, document: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> None:
    """Refuse a parent that is no registered version, and is not named as something outside of this keep.

    Args:
        keep: The keep.
        document: The manifest's fields.
        before: Those of the version before, whose parents stay as they were stated.

    Raises:
        UsageError: A parent names no version, or is written in no form that there is.
        UnknownName: The keep has no such version; says what is near.
    """
    parents = facts.get(document, "source.parents")
    known = facts.get(before or {}, "source.parents") or ()
    for parent in parents if isinstance(parents, list) else ():
        text = str(parent)
        if parent in known or text == "unknown" or _is_outside(text):
            continue
        _require_version(keep, text)


def stated_parents(manifest: Mapping[str, Any]) -> list[str]:
    """What a version's manifest says that it was made of, as it is written there; it may be any document."""
    stated = facts.get(manifest, "source.parents")
    return [str(one) for one in stated] if isinstance(stated, list) else []


def _is_outside(text: str) -> bool:
    scheme, colons, rest = text.partition("://")
    return bool(text.removeprefix(OUTSIDE).strip() and text.startswith(OUTSIDE)) or bool(
        scheme and colons and rest
    )


def _require_version(keep: Keep, text: str) -> None:
    outside = f"if it is not of this keep: --parent {OUTSIDE}NAME, or its URL"
    name, at, _ = text.partition("@")
    try:
        found = keep.resolve(text)
    except UnknownName as error:
        raise UnknownName(
            f"--parent {text}: {error.what}", next_step=f"{error.next_step}; {outside}"
        ) from error
    except UsageError as error:
        raise UsageError(
            f"--parent {text}: {error.what}", next_step=f"write it as orders@v3; {outside}"
        ) from error
    if not at:
        raise UsageError(
            f"--parent {text} does not say which version", next_step=f"--parent {name}@{found.version}"
        )
