"""What a training read, file by file, as its model record has it: datasets, undeclared inputs, parameters."""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted, few
from datakeep.core.digests import path_list_id
from datakeep.core.errors import DatakeepError
from datakeep.core.secrets import guarded
from datakeep.formats import yaml
from datakeep.formats.model import CodeFile, FilesRead, ModelInput
from datakeep.lineage import inputs
from datakeep.repository import working
from datakeep.store.hashing import hash_file, open_regular
from datakeep.workflows.bounded import has_room_for
from datakeep.workflows.compared import compare
from datakeep.workflows.given_data import PLACE
from datakeep.workflows.read_order import first_opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from datakeep.formats.model import Observation
    from datakeep.workflows.given_data import Given
    from datakeep.workflows.keep import Keep

#: More undeclared inputs than this are counted, not listed.
MAX_UNDECLARED = 1000
#: What the record says of one that was read and is not there any more.
GONE = "removed or renamed before the training ended, so its bytes are not known"
#: The data of a version that a run was given; another run that reads it did not declare it.
_GIVEN = re.compile(rf"{PLACE}$")
_NAMED = 3
_MAX_PARAMETERS_BYTES = 1 << 20


@dataclass(slots=True)
class Inputs:
    """What went in.

    Attributes:
        datasets: Every version that was given, with what was read of it.
        undeclared: Files of no dataset that was given, at most :data:`MAX_UNDECLARED`.
        undeclared_count: How many there were in all.
        parameters: What ``params.yaml`` and its like say, by their names.
        lists: The lists of files that were read, where not all were; by path relative to the record's folder.
        unknown: What could not be told.
        base_models: Models of the keep whose files were read without being declared, ``churn@v1``.
        base_files: Digests of the declared base models' files that were read.
    """

    datasets: list[ModelInput] = field(default_factory=list)
    undeclared: list[dict[str, Any]] = field(default_factory=list)
    undeclared_count: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, bytes] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    base_models: list[str] = field(default_factory=list)
    base_files: set[str] = field(default_factory=set)


def given_inputs(
    given: Sequence[Given],
    read: Mapping[str, set[str]] | None,
    opened_s: Mapping[str, float] | None = None,
    began_s: float = 0.0,
) -> Inputs:
    """What was read of the data that was given; without ``read`` (by dataset) only that it was given.

    ``opened_s`` is when each file was opened first, by its whole path.
    """
    found = Inputs()
    opened = _opened_by_bytes(given, read or {}, opened_s or {})
    for one in given:
        files_read = None
        if read is not None:
            files_read = _files_read(one, read.get(one.label, set()), found, opened, began_s)
        found.datasets.append(ModelInput.handed_over(one.entry, files_read))
    return found


def _opened_by_bytes(
    given: Sequence[Given], read: Mapping[str, set[str]], opened_s: Mapping[str, float]
) -> dict[bytes, float]:
    """When bytes were opened first, by their sha256: whatever dataset, and whatever name, they were read under."""
    first: dict[bytes, float] = {}
    for one in given if opened_s else ():
        paths = read.get(one.label, set())
        for file in one.inventory.files:
            if file.path in paths and (at_s := opened_s.get(f"{one.data}/{file.path}")) is not None:
                first[file.sha256] = min(at_s, first.get(file.sha256, at_s))
    return first


def _files_read(
    given: Given, paths: set[str], found: Inputs, opened_s: Mapping[bytes, float], began_s: float
) -> FilesRead:
    """Only registered files count: what else lay in the folder is no file of the version."""
    manifest = given.entry.manifest_model()
    patterns = manifest.splits.patterns if manifest.splits else {}
    split_of = given.inventory.with_splits(patterns).split_of()
    read = sorted(paths & split_of.keys())
    stray = sum(not (given.data / path).is_dir() for path in paths - split_of.keys())
    if stray:
        found.unknown.append(f"{counted(stray, 'file')} in the folder of {given.label}, not of this version")
    kept = None
    if 0 < len(read) < len(split_of):
        kept = f"read/{given.label}.txt"
        found.lists[kept] = "".join(f"{path}\n" for path in read).encode("utf-8")
    opened = {
        file.path: opened_s.get(file.sha256)
        for file in (given.inventory.files if opened_s else ())
        if file.path in paths
    }
    return FilesRead(
        count=len(read),
        splits=dict(Counter(split for path in read if (split := split_of[path]))),
        list=path_list_id(read),
        of=len(split_of),
        kept=kept,
        **first_opened(split_of, opened, began_s),
    )


def add_undeclared(
    keep: Keep,
    paths: Iterable[str],
    found: Inputs,
    *,
    began_s: float,
    known: set[str],
    moved: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Every regular file of ``paths`` is listed with size and digest; one that is gone, without them.

    Args:
        keep: The keep, whose datasets may have checkouts elsewhere.
        paths: Absolute, without links.
        found: Is added to.
        began_s: When the training began; what changed since may have been read with other bytes.
        known: Digests of files that are known as something else: those of the declared base models.
        moved: Where those may lie now that got other names, the likeliest first.
    """
    finder = Checkouts(keep)
    listed: set[str] = set()
    of_checkouts: list[tuple[dict[str, Any], str]] = []
    found_now = [(path, *_now((moved or {}).get(path, (path,)))) for path in paths]
    _add_gone([path for path, _, status in found_now if status is None], found, finder)
    there = [(path, now, status) for path, now, status in found_now if now is not None and status is not None]
    keep.progress.stage("hashing what was read besides", total=min(len(there), MAX_UNDECLARED))
    for path, now, status in there:
        of = finder.version_of(path)
        # What is beyond the limit is counted, but of each version one file is listed: it is asked for by that.
        if len(found.undeclared) >= MAX_UNDECLARED and (of is None or of in listed):
            found.undeclared_count += 1
            continue
        entry: dict[str, Any] = {"path": yaml.showable_path(path), "size_bytes": status.st_size}
        if inputs.may_hold_a_secret(path):
            entry["withheld"] = "it may hold a secret, so its digest is not written down"
        else:
            entry |= _digest(now)
        keep.progress.advance(size_bytes=status.st_size)
        if entry.get("sha256") in known:
            found.base_files.add(entry["sha256"])
            continue
        if now != path:
            entry["moved"] = f"during the training, to {yaml.showable_path(now)}; the digest is of it there"
        # Of an old file in the place of the one that was read only the status is young; of a moved one it is anyway.
        if max(status.st_mtime, status.st_ctime if path not in (moved or {}) else 0) >= began_s:
            entry["changed"] = "during the training or since; the digest is of what is there now"
        if of:
            entry["of"] = of
            listed.add(of)
            of_checkouts.append((entry, finder.below(path)))
        found.undeclared.append(entry)
        found.undeclared_count += 1
    if found.undeclared_count > len(found.undeclared):
        more = found.undeclared_count - len(found.undeclared)
        found.unknown.append(f"{more:,} more undeclared inputs, which were counted and not listed")
    if any("sha256" in entry for entry in found.undeclared):
        found.base_models += compare(keep, found.undeclared, of_checkouts, found.unknown)


def code_files(folder: Path, paths: Iterable[str], unknown: list[str]) -> list[CodeFile]:
    """The files of code that were read below ``folder``, with their digests; what cannot be read now is said."""
    wanted = sorted(set(paths))
    found = []
    for path in wanted[:MAX_UNDECLARED]:
        if inputs.may_hold_a_secret(f"/{path}"):
            continue
        digest = _digest(str(folder / path))
        if "sha256" in digest:
            found.append(CodeFile(path=yaml.showable_path(path), sha256=digest["sha256"]))
        else:
            unknown.append(f"what the code in {yaml.showable_path(path)} said ({digest['unreadable']})")
    if len(wanted) > MAX_UNDECLARED:
        unknown.append(f"{counted(len(wanted) - MAX_UNDECLARED, 'more file')} of code that were read")
    return found


def changed_code(folder: Path, paths: Iterable[str], began_s: float) -> list[str]:
    """Which code below ``folder`` may have been read with another text than it has now, in a line each way."""
    changed, gone = [], []
    for path in sorted(set(paths)):
        if path.startswith(".git/"):
            continue
        try:
            status = (folder / path).stat()
        except OSError:
            gone.append(path)
            continue
        if max(status.st_mtime, status.st_ctime) >= began_s:
            changed.append(path)
    said = []
    if changed:
        said.append(f"what the code in {named(changed)} was: it changed during the training or since")
    if gone:
        said.append(f"what the code in {named(gone)} was: removed or renamed before the training ended")
    return said


_NO_FILE = os.stat_result((0,) * 10)


def _now(places: Sequence[str]) -> tuple[str | None, os.stat_result | None]:
    """Where a file that was read is now, and what is known of it.

    No status: it is gone. No place: it is there, and cannot be looked at, or is no file, but a pipe or a folder.
    """
    is_gone = True
    for place in places:
        try:
            status = Path(place).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            is_gone = False
            continue
        if stat.S_ISREG(status.st_mode):
            return place, status
        is_gone = False
    return None, None if is_gone else _NO_FILE


def _add_gone(paths: Sequence[str], found: Inputs, finder: Checkouts) -> None:
    """What was read and is not there any more: that it was read is known, and not what it held."""
    if not paths:
        return
    for path in paths[: MAX_UNDECLARED - len(found.undeclared)]:
        of = finder.version_of(path)
        found.undeclared.append(
            {"path": yaml.showable_path(path), "gone": GONE, **({"of": of} if of else {})}
        )
    found.undeclared_count += len(paths)
    found.unknown.append(f"what {named(paths)} held, read and then removed or renamed")


def named(paths: Sequence[str]) -> str:
    """A few paths in words."""
    return few([yaml.showable_path(path) for path in paths], _NAMED, noun="file")


def _digest(path: str) -> dict[str, Any]:
    try:
        return {"sha256": hash_file(Path(path))[2].hex()}
    except OSError as error:
        return {"unreadable": error.strerror or str(error)}


class Checkouts:
    """Knows the working copies of datasets that files lie in, other than those that were given."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        #: Of each folder that was passed: the checkout that it lies in, and its version; None if in none.
        self._known: dict[Path, tuple[Path, str] | None] = {}

    def version_of(self, path: str) -> str | None:
        """``orders@v1`` if ``path`` lies in a checkout of it, which may be changed, or in what a run was given."""
        found = self._around(path)
        return found[1] if found else None

    def below(self, path: str) -> str:
        """Where in its checkout a file lies of which :meth:`version_of` told the version."""
        found = self._around(path)
        return Path(path).relative_to(found[0]).as_posix() if found else path

    def _around(self, path: str) -> tuple[Path, str] | None:
        """The innermost checkout; no folder is looked at twice, however many files lie in it."""
        passed: list[Path] = []
        found: tuple[Path, str] | None = None
        for folder in Path(path).parents:
            if folder in self._known:
                found = self._known[folder]
                break
            passed.append(folder)
            given = _GIVEN.search(str(folder))
            if given or _has_manifest(folder):
                label = self._given(given) if given else self._look(folder)
                found = (folder, label) if label else None
                break
        self._known.update(dict.fromkeys(passed, found))
        return found

    def _given(self, place: re.Match[str]) -> str | None:
        entry = self._keep.with_content(place["dataset"], f"sha256:{place['content']}")
        return f"{entry.dataset}@{entry.version}" if entry else None

    def _look(self, folder: Path) -> str | None:
        try:
            head = working.head_of(folder)
            text = (folder / "dataset.yaml").read_bytes()
            name = str(yaml.load(text, what="dataset.yaml").get("name"))
            entry = self._keep.at_commit(name, head) if head else None
        except (DatakeepError, OSError):
            return None
        return f"{entry.dataset}@{entry.version}" if entry else None


def _has_manifest(folder: Path) -> bool:
    try:
        return (folder / "dataset.yaml").is_file()
    except OSError:  # nobody may look into the folder any more
        return False


def add_parameters(paths: Iterable[str], found: Inputs) -> None:
    """What the files of parameters say that were read; a secret in them is withheld."""
    for path in paths:
        name = Path(path).name
        try:
            with open_regular(Path(path)) as source:
                data = source.read(_MAX_PARAMETERS_BYTES + 1)
            is_small = len(data) <= _MAX_PARAMETERS_BYTES
            said = _parameters(name, data) if is_small else None
        except (DatakeepError, OSError, ValueError, RecursionError) as error:
            found.unknown.append(f"the parameters in {name}, which cannot be read ({error})")
            continue
        if not is_small or not has_room_for(said):
            found.unknown.append(f"the parameters in {name}, which is too large to be kept")
            continue
        found.parameters[name if name not in found.parameters else yaml.showable_path(path)] = guarded(said)


def _parameters(name: str, data: bytes) -> Any:
    return json.loads(data) if name.endswith(".json") else yaml.plain(yaml.load(data, what=name))


def not_seen(observed: Observation) -> str:
    """One line for the list of what is not known, where strace did not see all, or could not say so."""
    if observed.by == "strace":
        return f"files that were opened and are not listed (strace watched, and {observed.why})"
    return f"files that were opened outside of Python's own functions (an audit hook watched: {observed.why})"
