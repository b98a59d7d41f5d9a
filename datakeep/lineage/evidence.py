"""What follows where a training read a file which another one left: of some files much, of others nothing.

Few bytes are alike by chance (``{}``), and what a run only copied into its output says nothing of that run. Weights
are the model itself; of settings, tables and texts all that is known is that the file was left.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: Of so few bytes nothing follows: many files have them.
FEW_BYTES = 64
#: Left by most trainings, and much alike: whoever reads one has read no model.
_NO_EVIDENCE = frozenset({"metrics.json", "_SUCCESS"})
_NO_MODEL = re.compile(
    r"\.(?:json|jsonl|ndjson|ya?ml|toml|ini|cfg|conf|env|lock|csv|tsv|txt|md|rst|log|html?|xml|svg|png|jpe?g|gif|webp|pdf"
    r"|parquet|pq|feather|arrow|orc|avro|xlsx?|ods|py|ipynb|sh|sql|gz|zip|tar|tgz)$",
    re.IGNORECASE,
)
#: Forests and boosters are saved as JSON and text.
_STILL_A_MODEL = re.compile(
    r"(?:model|booster|weights)[^/]*\.(?:json|txt|xml|zip|tar|tgz|gz)$", re.IGNORECASE
)
_ONLY_A_LIST = re.compile(r"\.index\.json$", re.IGNORECASE)


class Means(IntEnum):
    """What follows for one who read a file that a training left."""

    NOTHING = 0
    LEFT = 1
    MODEL = 2


def is_model_file(path: str) -> bool:
    """Whether a file that a training left is, by its name, the model or a part of it."""
    if _ONLY_A_LIST.search(path):
        return False
    return bool(_STILL_A_MODEL.search(path)) or not _NO_MODEL.search(path)


def means(
    artifacts: Iterable[Mapping[str, Any]], undeclared: Iterable[Mapping[str, Any]], origin: str
) -> Iterator[tuple[Mapping[str, Any], Means]]:
    """Each file that a training left, as its record lists it, with what follows from it.

    Args:
        artifacts: As the record lists them.
        undeclared: What the run read itself without declaring it: a copy of that is not its own.
        origin: Of the record; whoever declares a file says that it is the model.
    """
    read = {one.get("sha256") for one in undeclared}
    for one in artifacts:
        name = str(one["path"]).rpartition("/")[2]
        if one["size_bytes"] < FEW_BYTES or one["sha256"] in read or name in _NO_EVIDENCE:
            yield one, Means.NOTHING
        elif origin == "declared" or is_model_file(name):
            yield one, Means.MODEL
        else:
            yield one, Means.LEFT
