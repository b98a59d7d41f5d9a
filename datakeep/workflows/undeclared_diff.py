"""What differs between what two models read that no dataset declares: data, and code that lay elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted, few
from datakeep.formats.model_words import missed
from datakeep.lineage import inputs
from datakeep.workflows.told_alike import bytes_alike

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datakeep.formats.model import ModelRecord

_NAMED = 3


@dataclass(slots=True)
class Found:
    """What differs, what does not, and what cannot be told; one line each."""

    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def undeclared_data(old: ModelRecord, new: ModelRecord) -> Found:
    """Files of data that only one of the two read, and what came in without being a file."""
    found = _undeclared(old, new, "undeclared inputs", is_code=False)
    counts = old.undeclared_count or 0, new.undeclared_count or 0
    listed = len(old.undeclared), len(new.undeclared)
    if not (found.changed or found.unknown) and counts != listed and counts[0] != counts[1]:
        said = f"undeclared inputs: {counted(counts[0], 'file')} → {counts[1]:,}"
        more, less = counts[1] > counts[0], counts[0] > counts[1]
        _tell(found, said, old, new, more=more, less=less)
    piped = [one for one in (old, new) if one.observed and one.observed.standard_input]
    found.unknown += [f"what {one.label} read of its standard input, a {_stream(one)}" for one in piped]
    opened = [one for one in (old, new) if one.observed and one.observed.pipes]
    found.unknown += [f"what {one.label} read of named pipes" for one in opened]
    return found


def undeclared_code(old: ModelRecord, new: ModelRecord) -> Found:
    """Files of code that only one of the two read, of those that lay in neither's folder of code."""
    return _undeclared(old, new, "code from other folders", is_code=True)


def _stream(record: ModelRecord) -> str:
    return str(record.observed.standard_input) if record.observed else "stream"


def _undeclared(old: ModelRecord, new: ModelRecord, what: str, *, is_code: bool) -> Found:
    found = Found()
    told = set(old.base_models) ^ set(new.base_models)  # as a base model that only one of them had
    sides = [
        [
            one
            for one in record.undeclared
            if inputs.is_code(str(one.get("path"))) == is_code and one.get("model") not in told
        ]
        for record in (old, new)
    ]
    before, after = map(bytes_alike, sides)
    more = [after[key] for key in after.keys() - before.keys()]
    less = [before[key] for key in before.keys() - after.keys()]
    if more or less:
        said = f"{what}: {_side(more, new, 'read')}, {_side(less, old, 'did')}"
        _tell(found, said, old, new, more=bool(more), less=bool(less))
    unseen = sorted({_path(one) for one in sides[1] if "sha256" not in one} & set(before.values()))
    if unseen:
        found.unknown.append(f"whether {few(unseen, _NAMED)} held the same: its bytes are not known of both")
    return found


def _tell(found: Found, said: str, old: ModelRecord, new: ModelRecord, *, more: bool, less: bool) -> None:
    if (more and not old.misses_reads) or (less and not new.misses_reads):
        found.changed.append(said)
    else:
        found.unknown.append(f"{said}, {missed(old, new)}")


def _side(paths: Sequence[str], record: ModelRecord, verb: str) -> str:
    shown = f" ({few(sorted(paths), _NAMED)})" if paths else ""
    return f"{len(paths):,} that only {record.label} {verb}{shown}"


def _path(entry: dict[str, Any]) -> str:
    return str(entry.get("path"))


def code_files(old: ModelRecord, new: ModelRecord) -> Found:
    """The files of code that lay in no git work tree, by their bytes; for two models whose code lay in none."""
    found = Found()
    sides = [{one.path: one.sha256 for one in record.code.files or ()} for record in (old, new)]
    lacking = [one.label for one, files in zip((old, new), sides, strict=True) if not files]
    if lacking:
        name = PurePosixPath(new.code.path or old.code.path or "the code").name
        found.unknown.append(f"what {name} said: no digest of it is recorded for {' and '.join(lacking)}")
        return found
    scripts = [PurePosixPath(one.code.path or "").name for one in (old, new)]
    before, after = sides
    names = sorted(before.keys() | after.keys())
    differ = [name for name in names if before.get(name) != after.get(name)]
    differ = [name for name in differ if not _is_renamed_script(name, scripts, sides)]
    both = [name for name in differ if name in before and name in after]
    found.changed += _lines("changed", both)
    one_sided = [name for name in differ if name not in both]
    if old.misses_reads or new.misses_reads:
        found.unknown += (
            [f"code that only one was seen to read: {few(one_sided, _NAMED)}"] if one_sided else []
        )
    else:
        found.changed += _lines("only of one", one_sided)
    if not differ:
        found.same.append(f"{counted(len(after), 'file')}, by their bytes")
    return found


def _is_renamed_script(name: str, scripts: Sequence[str], sides: Sequence[dict[str, str]]) -> bool:
    """Whether a file is the script of one of them, which has the bytes of the other's."""
    before, after = (files.get(script) for files, script in zip(sides, scripts, strict=True))
    return before is not None and before == after and name in scripts


def _lines(what: str, names: Iterable[str]) -> list[str]:
    shown = list(names)
    return [f"files in no git work tree, {what}: {few(shown, _NAMED)}"] if shown else []
