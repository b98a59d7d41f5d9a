"""What models a model was made of: the ones that its record names, and those whose files its training read.

Of a file that several records have, all are meant: one that somebody declared does not hide the one that was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from datakeep.core.names import version_number
from datakeep.lineage import same_bytes, steps
from datakeep.lineage.steps import Node
from datakeep.workflows.index import ask
from datakeep.workflows.undeclared import matters

if TYPE_CHECKING:
    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.index import Index
    from datakeep.lineage.steps import Left
    from datakeep.workflows.keep import Keep

Kind = Literal["base", "named", "left", "same"]


@dataclass(frozen=True, slots=True)
class Stem:
    """A model that another one was made of, ``churn@v1`` or ``churn``, and how that is known."""

    label: str
    how: Kind = "base"
    because: str = ""


def node_of(record: ModelRecord) -> Node:
    """The model of a record, as the index names it."""
    return Node("model", record.model, version_number(record.version))


def stems(keep: Keep, record: ModelRecord) -> list[Stem]:
    """The models that the model of ``record`` was made of, but for further records of the same files.

    Those that it only names, and read no file of, come last.
    """
    said = f"{record.label} names it, and read no file of it"
    found = {
        one: Stem(one, "named", said) if one in record.unread_bases else Stem(one)
        for one in record.base_models
    }
    for left in _left_to(keep, record):
        label = str(left.maker)
        if left.is_model and found.get(label, Stem("", "left")).how != "base":
            found[label] = Stem(label, "base", f"its file was read: {left.at}")
        found.setdefault(label, Stem(label, "left", f"a file that it left was read: {left.at}"))
    return sorted(found.values(), key=lambda one: one.how == "named")


def _left_to(keep: Keep, record: ModelRecord) -> list[Left]:
    if not any(one.get("sha256") for one in record.undeclared):
        return []

    def question(index: Index) -> list[Left]:
        same_bytes.refresh(index.database)
        return steps.left_to(index.database, node_of(record))

    return ask(keep, question)


def same_file(keep: Keep, record: ModelRecord) -> tuple[str, ...]:
    """Other records of the model's file, as ``churn@v2``."""
    if not record.artifacts:
        return ()
    return tuple(
        map(str, ask(keep, lambda index: steps.same_file(index.database, node_of(record)), files=False))
    )


def all_stems(keep: Keep) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Of every model those whose files its training read; and those whose records have the same model's file."""

    def question(index: Index) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        same_bytes.refresh(index.database)
        return steps.all_left(index.database), steps.all_same_files(index.database)

    return ask(keep, question, files=ask(keep, matters, files=False))
