"""Asking a person whether folders that look like the splits of a dataset are its splits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datakeep.workflows.facts import Fact
from datakeep.workflows.splits import hint, likely_splits, require_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datakeep.workflows.facts import Ask
    from datakeep.workflows.register import Request


def settle_splits(request: Request, document: dict[str, Any], paths: Sequence[str]) -> list[str]:
    """The splits of a first version are in ``document``: as stated, or as a person confirms; else a note says so.

    Args:
        request: What was asked for.
        document: The manifest's fields, options taken in; is added to.
        paths: The files, relative to ``data/``.

    Raises:
        UsageError: A pattern that was stated matches no file.
    """
    stated = request.given.get("splits") or ()
    require_files(stated, paths, document=document.get("splits"), manifest=request.manifest)
    document.update(asked_splits(document, paths, request.ask))
    return [] if request.ask else hint(request.name, document.get("splits"), paths)


def asked_splits(document: dict[str, Any], paths: Iterable[str], ask: Ask | None) -> dict[str, Any]:
    """``splits`` as a person confirms them, where none are stated and folders look like some; else nothing.

    Args:
        document: The manifest's fields.
        paths: The files, relative to ``data/``.
        ask: Asks a person; None where nobody can be asked.
    """
    found = likely_splits(paths) if ask and not document.get("splits") else {}
    if ask is None or not found:
        return {}
    shown = ", ".join(f"{name}={pattern}" for name, patterns in found.items() for pattern in patterns)
    question = Fact("splits", "--split", f"whether these are its splits: {shown}", "choice", ("yes", "no"))
    return {"splits": found} if ask(question, "yes", None) == "yes" else {}
