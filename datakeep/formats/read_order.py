"""Whether a test split was read before a model was written, or after: as far as its record tells.

A file that was opened first after the last change of the model's bytes had no part in them. That is all that is said:
not that it was no reason to keep this model and not another. Pure; where the times come from is
:mod:`datakeep.workflows.read_order`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datakeep.formats.model import ModelInput, ModelRecord

_TEST = re.compile(r"(.*[-_.])?(test|tests|testing|holdout|held[-_]?out)([-_.].*)?", re.IGNORECASE)
#: What a scoring leaves, and no training needs; anything else that a run left may be its model.
_SCORES = re.compile(
    r"(?:^|/)(?:[^/]*(?:metric|score|report|predict|evaluat|result|confusion|summary)[^/]*\.(?:json|jsonl|ya?ml|csv|tsv|parquet|npy)"
    r"|[^/]*\.(?:png|jpe?g|svg|gif|pdf|html|md|txt|log))$",
    re.IGNORECASE,
)
_NAMED = 3


def is_test(split: str) -> bool:
    """Whether a split is one that nothing may be learned from, by its name: ``test``, ``holdout``."""
    return _TEST.fullmatch(split) is not None


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """When the test splits of one input were read, against when the files that the training left were written.

    Attributes:
        splits: The test splits that were read.
        before: Files that were changed last before any file of them was opened.
        after: Those that were changed after that.
    """

    splits: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def is_after_the_model(self) -> bool:
        """Whether there was a model then, and all that was written afterwards is what a scoring leaves."""
        models = [path for path in self.before if not _SCORES.search(path)]
        return bool(models) and all(_SCORES.search(path) for path in self.after)

    def __str__(self) -> str:
        """What was seen, in words."""
        split = ", ".join(self.splits)
        if not self.before:
            return f"{split} first opened before {_named(self.after)} was last changed"
        later = f"; {_named(self.after)} changed after that" if self.after else ""
        return f"{split} first opened after {_named(self.before)} was last changed{later}"


def read_order(record: ModelRecord, given: ModelInput) -> ReadOrder | None:
    """What the record tells of ``given``; None where it read no test split of it, or does not tell all times."""
    read = given.files_read
    splits = sorted(
        split for split, count in (read.splits if read else {}).items() if count and is_test(split)
    )
    if not splits or read is None or not record.artifacts or not record.knows_files_of(given):
        return None
    opened = [read.opened_s.get(split) for split in splits]
    written = {one.path: one.written_s for one in record.artifacts}
    if None in opened or None in written.values():
        return None
    first = min(Decimal(one) for one in opened if one is not None)
    before = tuple(path for path, at_s in written.items() if at_s is not None and Decimal(at_s) < first)
    return ReadOrder(tuple(splits), before, tuple(path for path in written if path not in before))


def _named(paths: tuple[str, ...]) -> str:
    """The likeliest models first: they are what is asked about."""
    shown = sorted(paths, key=lambda path: bool(_SCORES.search(path)))
    more = f" and {len(shown) - _NAMED:,} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more
