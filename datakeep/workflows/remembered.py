"""What a walk through the history found, kept below ``.datakeep/`` for the next question."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import DatakeepError

if TYPE_CHECKING:
    from datakeep.workflows.keep import Keep


def remember(keep: Keep, name: str, data: dict[str, Any]) -> None:
    """Put ``data`` whole in the place of the file ``name``; where that cannot be, the walk is made again."""
    try:
        path = keep.repository.private_folder() / name
        temporary = path.with_suffix(f".{os.getpid()}.new")
        temporary.write_text(json.dumps(data), "utf-8")
        temporary.replace(path)
    except (OSError, UnicodeError, DatakeepError):
        return  # a keep that may only be read
