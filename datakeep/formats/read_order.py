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
#: What a scoring leaves, by a name that says so; anything else that is changed afterwards may be the model.
_SCORES = re.compile(
    r"(?:^|/)(?:[^/]*[-_.])?(?:metrics?|scores?|reports?|predictions?|preds|evaluations?|results?|confusion)"
    r"(?:[-_.](?:matrix|tests?|testing|holdout|\d+))*"
    r"\.(?:json|jsonl|ya?ml|csv|tsv|parquet|npy|txt|md|html|log|pdf|png|jpe?g|svg)$",
    re.IGNORECASE,
)
#: What is no model: where nothing else was left, none is known to have been written. LightGBM's is ``model.txt``.
_NO_MODEL = re.compile(r"\.(?:png|jpe?g|svg|gif|pdf|html|md|log|(?<!model\.)txt)$", re.IGNORECASE)
_NAMED = 3
#: A file's change time is that of the kernel's last tick, of which there are at least a hundred in a second.
_TICK_S = Decimal("0.01")


def is_test(split: str) -> bool:
    """Whether a split is one that nothing may be learned from, by its name: ``test``, ``holdout``."""
    return _TEST.fullmatch(split) is not None


def may_be_model(path: str) -> bool:
    """Whether a file that a training left may be its model, by its name: no score, no report, no picture."""
    return not (_SCORES.search(path) or _NO_MODEL.search(path))


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """When the test splits of one input were read, against when the files that the training left were written.

    Attributes:
        splits: The test splits that were read.
        before: Files that were changed last before any file of them was opened.
        after: Those that were changed after that.
        doubt: By what else the split may have come in before; empty where nothing is known.
    """

    splits: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    doubt: str = ""

    @property
    def is_after_the_model(self) -> bool:
        """Whether, for certain, there was a model then, and all that was written afterwards is a scoring's."""
        models = [path for path in self.before if may_be_model(path)]
        return bool(models) and not self.doubt and all(_SCORES.search(path) for path in self.after)

    def __str__(self) -> str:
        """What was seen, in words."""
        split = ", ".join(self.splits)
        if not self.before:
            return f"{split} first opened before {_named(self.after)} was last changed"
        later = f"; {_named(self.after)} changed after that" if self.after else ""
        later += f"; {self.doubt}" if self.doubt else ""
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
    gaps = {path: first - Decimal(at_s) for path, at_s in written.items() if at_s is not None}
    before = tuple(path for path, gap_s in gaps.items() if gap_s > 0)
    after = tuple(path for path in written if path not in before)
    soon = tuple(path for path in before if gaps[path] <= _TICK_S)
    return ReadOrder(tuple(splits), before, after, _doubt(record) or _too_soon(soon))


def _doubt(record: ModelRecord) -> str:
    if record.undeclared or record.undeclared_count:
        return "undeclared files were read too"
    if record.observed and record.observed.standard_input:
        return f"what came through standard input, a {record.observed.standard_input}, is not known"
    if record.observed and record.observed.pipes:
        return "what came through named pipes is not known"
    return ""


def _too_soon(soon: tuple[str, ...]) -> str:
    if not soon:
        return ""
    return f"so soon that it may have been before: a file's time is exact to {_TICK_S} s"


def _named(paths: tuple[str, ...]) -> str:
    """The likeliest models first: they are what is asked about."""
    shown = sorted(paths, key=lambda path: bool(_SCORES.search(path)))
    more = f" and {len(shown) - _NAMED:,} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more
