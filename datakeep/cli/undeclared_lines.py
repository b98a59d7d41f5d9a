"""How it is shown whose bytes were read without being declared."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from datakeep.cli.rendering import some
from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from datakeep.formats.model import ModelRecord
    from datakeep.lineage.same_bytes import SameBytes
    from datakeep.workflows.undeclared import Reader
    from datakeep.workflows.used_by import UsedBy

_MODELS_SHOWN = 20


def undeclared_lines(found: UsedBy) -> Iterator[str]:
    """What models read with the bytes of a dataset's files, and where nobody could look."""
    told = found.undeclared
    if told.found:
        yield "read without being declared, known by their bytes:"
        yield from some(list(_one_line_each(found)), mark="=", limit=_MODELS_SHOWN)
    if told.lacking:
        name = f"{found.dataset}@{found.version}" if found.version else found.dataset
        yield f"whether undeclared files that models read are its own was not searched in {told.lacking}"
        yield f"  datakeep audit dataset:{name} --fetch gets them"
    yield from unlisted_lines(told.unlisted)


def _one_line_each(found: UsedBy) -> Iterator[str]:
    """One for each model and file: of versions with the same bytes the one that it lay in, else the newest."""
    lay_in = {
        (record.label, str(one.get("path"))): one.get("of")
        for record in found.records
        for one in record.undeclared
    }
    newest: dict[tuple[str, str], dict[str, SameBytes]] = defaultdict(dict)
    for one in sorted(found.undeclared.found, key=lambda one: one.number):
        place = (one.model, one.at)
        known = newest[place].get(one.path)
        if known is None or f"{known.dataset}@{known.version}" != lay_in.get(place):
            newest[place][one.path] = one
    for (model, at), paths in newest.items():
        first = next(iter(paths.values()))
        more = f" and {counted(len(paths) - 1, 'more file')} of the same bytes" if len(paths) > 1 else ""
        doubt = "" if first.is_sure else ", which changed during the training or since"
        yield f"{model} read {first.dataset}@{first.version}:{first.path}{more}, at {at}{doubt}"


def versions_read(record: ModelRecord, found: UsedBy) -> list[str]:
    """Which versions of the dataset a model read, and which of them without declaring it."""
    from datakeep.workflows.file_verdicts import undeclared_of

    dataset = found.dataset
    read = [one for one in record.inputs if not record.read_nothing_of(one)]
    asked = [one for one in read if one.dataset == dataset and found.version in (None, one.version)]
    mine = [f"{one.dataset}@{one.version}" for one in asked]
    alike = [one for one in (f"{one.dataset}@{one.version}" for one in read) if one in found.alike]
    of_checkout = undeclared_of(record, dataset)
    others = dict.fromkeys(f"{dataset}@{one}" for one in of_checkout)
    by_bytes = [one for one in found.undeclared.found if one.model == record.label]
    if by_bytes and not any(f"{dataset}@{one.version}" in (*mine, *others) for one in by_bytes):
        others[f"{dataset}@v{max(one.number for one in by_bytes)}"] = None
    told = mine + [f"{one} (the same bytes)" for one in alike if one not in mine]
    told += [f"{one} ({_how(record, one, found)})" for one in others if one not in mine]
    return told or [f"{one.dataset}@{one.version}" for one in read]


def _how(record: ModelRecord, label: str, found: UsedBy) -> str:
    """Of a checkout with nothing but changed and further files, no file of the version was read."""
    of_it = [one for one in record.undeclared if one.get("of") == label]
    as_registered = any(
        (one.model, f"{one.dataset}@{one.version}") == (record.label, label) for one in found.undeclared.found
    )
    if of_it and all("differs" in one for one in of_it) and not as_registered:
        return "changed files of a checkout, read without being declared"
    return "read without being declared"


def unlisted_lines(models: Sequence[str]) -> list[str]:
    """Records that leave out what was read without being declared: no "no" is one where there are such."""
    if not models:
        return []
    shown = ", ".join(models[:3]) + (", …" if len(models) > 3 else "")
    return [f"not known: what of it is among the undeclared files that the record does not list, of {shown}"]


def same_rows(same: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Of one model's undeclared files, those whose bytes are registered."""
    for at, whose in same:
        yield "same bytes", f"{at} is {whose}"


def reader_lines(readers: Iterable[Reader]) -> Iterator[str]:
    """Who read some bytes without declaring them."""
    for one in readers:
        more = f" and {counted(len(one.at) - 1, 'more place')}" if len(one.at) > 1 else ""
        doubt = "" if one.is_sure else ", which changed during the training or since"
        yield f"read, undeclared, by {one.model}, at {one.at[0]}{more}{doubt}"


def undeclared_data(found: UsedBy) -> dict[str, Any]:
    """The same for ``--json``, every version by itself."""
    told = found.undeclared
    return {
        "same_bytes": [
            {
                "model": one.model,
                "at": one.at,
                "file": f"{one.dataset}@{one.version}:{one.path}",
                "sure": one.is_sure,
            }
            for one in told.found
        ],
        "not_searched": [str(told.lacking)] if told.lacking else [],
        "not_listed_by": list(told.unlisted),
    }
