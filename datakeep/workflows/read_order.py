"""When files were opened and written, as model records have it: seconds since the training began, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def first_opened(
    split_of: Mapping[str, str | None], opened_s: Mapping[str, float | None], began_s: float
) -> dict[str, Any]:
    """The field ``opened_s`` of :class:`FilesRead`; a split of which one file's time is not known is left out.

    Args:
        split_of: The split of each file of the version.
        opened_s: When each file that was read was opened first, in seconds since 1970.
        began_s: When the training began, likewise.
    """
    first: dict[str, float | None] = {}
    for path, at_s in opened_s.items():
        if split := split_of.get(path):
            known = first.get(split, at_s)
            first[split] = None if known is None or at_s is None else min(known, at_s)
    told = {split: _since(at_s, began_s) for split, at_s in first.items() if at_s is not None}
    return {"opened_s": told} if told else {}


def written(changed_s: float | None, began_s: float) -> dict[str, str]:
    """The field ``written_s`` of :class:`Artifact`, where it is known."""
    return {} if changed_s is None else {"written_s": _since(changed_s, began_s)}


def _since(at_s: float, began_s: float) -> str:
    return f"{at_s - began_s:.6f}"
