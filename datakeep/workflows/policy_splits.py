"""Whether a run can have learned from a test split alone, or only scored on it: by what it read and what it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datakeep.formats.read_order import is_test, may_be_model
from datakeep.lineage.evidence import is_model_file

if TYPE_CHECKING:
    from datakeep.formats.model import ModelInput, ModelRecord


def splits_read(given: ModelInput) -> list[str]:
    """The splits of which at least one file was read."""
    return [split for split, count in (given.files_read.splits if given.files_read else {}).items() if count]


def only_test_read(record: ModelRecord, copies: int = 0) -> bool:
    """Whether a run left files, and read a test split and nothing else.

    ``copies`` is how many undeclared files have the bytes of a test split's.

    A run that loads a model, as a base model or as a file, evaluates it; files of no split may hold anything.
    """
    undeclared = max(record.undeclared_count or 0, len(record.undeclared))
    if not record.artifacts or record.base_models or undeclared != copies:
        return False
    for given in record.inputs:
        read = given.files_read
        if read is None or not record.knows_files_of(given):
            return False
        if sum(read.splits.values()) != read.count or not all(map(is_test, splits_read(given))):
            return False
    return True


def model_left(record: ModelRecord) -> str:
    """What a run left that may be a model, in words; empty where it left scores, pictures and reports only."""
    perhaps = [one.path for one in record.artifacts if may_be_model(one.path)]
    if not perhaps:
        return ""
    certain = any(is_model_file(path.rpartition("/")[2]) for path in perhaps)
    return "left a model" if certain else f"left {perhaps[0]}, which may be a model"
