"""``whatis``: whose bytes these are: a hash, an object of a store, a URL, or a file of this machine (L3).

The answer is every meaning that the keep knows: the same bytes may lie in several datasets, and be a model as well.
What could not be searched is said; "not known" is never "nobody's".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import SourceUnreadable, UsageError
from datakeep.lineage import hashes, same_bytes
from datakeep.workflows.index import ask, not_searched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from datakeep.lineage.index import Index
    from datakeep.workflows.keep import Keep

#: Who read something without declaring it comes after whose it is.
_READ = "read, undeclared, by the training"
#: Fewer digits name too many things.
MIN_DIGITS = 8
_HASH = re.compile(r"(?:(sha256|md5):)?([0-9a-f]{4,64})(\.dir)?", re.IGNORECASE)
_OBJECT = re.compile(
    r"(?:(?:^|.*/)([a-z0-9][a-z0-9-]*)/files/md5/|^|.*/)([0-9a-f]{2})/([0-9a-f]{30})(\.dir)?"
)
_BUNDLE = re.compile(r"(?:^|.*/)([a-z0-9][a-z0-9-]*)/datakeep/bundles/(v[1-9][0-9]*)-([0-9a-f]{12})\.bundle")
_PROOF = re.compile(r"(?:^|.*/)(proofs/[a-z0-9][a-z0-9-]*/v[1-9][0-9]*/[^/]+\.dsse\.json)")
#: Files of equal bytes that are looked up; a keep may have an empty file in every version.
_MAX_ROWS = 2000
_MAX_COMMITTED_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing that the bytes are.

    Attributes:
        what: ``a file``, ``the inventory``, ``a model's file`` …
        name: The dataset or model.
        versions: In which versions, oldest first.
        paths: Under which paths there; none for what is no file of the data.
        owner: Of the dataset, as its newest of these versions states; None if unknown or no dataset.
        repository: Of the dataset.
        stores: Which of the keep's stores hold that version, as far as the register knows.
        next_step: What to type to get it, or to know more.
    """

    what: str
    name: str
    versions: tuple[str, ...]
    paths: tuple[str, ...] = ()
    owner: str | None = None
    repository: str | None = None
    stores: tuple[str, ...] = ()
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class WhatIs:
    """The answer.

    Attributes:
        asked: What was asked about.
        digests: What was looked for: the hash that was given or found in the name, or those of the file.
        meanings: What the keep knows it as; none if it is not known.
        notes: What is odd about it, or known although it is not, one line each.
        not_searched: What could not be looked through, one line each.
        broken: Files of the keep that cannot be read, and so may hold an answer.
    """

    asked: str
    digests: tuple[str, ...]
    meanings: tuple[Meaning, ...]
    notes: tuple[str, ...] = ()
    not_searched: tuple[str, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to look for: the beginnings of digests by their algorithm (None: any), a path of the keep, hints."""

    digests: tuple[tuple[str | None, str], ...] = ()
    is_folder: bool = False
    dataset: str | None = None
    bundle: tuple[str, str, str] | None = None
    proof: str | None = None
    notes: tuple[str, ...] = ()


def whatis(keep: Keep, subject: str, *, fetch: bool = False) -> WhatIs:
    """What the keep knows ``subject`` as.

    Args:
        keep: The keep.
        subject: A file of this machine; a hash or its first 8 digits and more, with or without ``md5:`` or
            ``sha256:``; the path or URL of an object, a bundle or a proof.
        fetch: Get the file lists that are not here first.

    Raises:
        UsageError: It is none of these.
        SourceUnreadable: The file cannot be read.
    """
    wanted = _wanted(subject)
    keep.warn_if_behind()
    return ask(keep, lambda index: _Finder(keep, index, wanted).answer(subject), fetch=fetch)


def _wanted(subject: str) -> _Wanted:
    path = Path(subject)
    named = _by_name(subject)
    if path.is_file():
        return _of_file(path, named)
    if named:
        return named
    if found := _HASH.fullmatch(subject.strip()):
        return _of_hash(found)
    if path.is_dir():
        raise UsageError(
            f"{subject} is a folder; bytes are known by file",
            next_step=f"name a file in it: datakeep whatis {path / 'FILE'}",
        )
    raise UsageError(
        f"{subject!r} is no file here, no hash, and no address of an object",
        next_step="give a file, at least 8 digits of a hash, or the address: s3://BUCKET/…/files/md5/ab/cdef…",
    )


def _of_hash(found: re.Match[str]) -> _Wanted:
    digits = found[2].lower()
    if len(digits) < MIN_DIGITS:
        raise UsageError(
            f"{found[0]!r} fits too many things: at least {MIN_DIGITS} digits of a hash are needed",
            next_step="give more of its digits",
        )
    algorithm = found[1].lower() if found[1] else "md5" if found[3] else None
    return _Wanted(((algorithm, digits),), bool(found[3]))


def _by_name(subject: str) -> _Wanted | None:
    """What the path or URL of an object, a bundle or a proof tells by itself."""
    plain = subject.partition("?")[0]
    if found := _BUNDLE.fullmatch(plain):
        return _Wanted(bundle=(found[1], found[2], found[3]), dataset=found[1])
    if found := _PROOF.fullmatch(plain):
        return _Wanted(proof=found[1])
    if found := _OBJECT.fullmatch(plain):
        return _Wanted((("md5", found[2] + found[3]),), bool(found[4]), found[1])
    return None


def _of_file(path: Path, named: _Wanted | None) -> _Wanted:
    """What a file of this machine is looked for as: its bytes; and its name, if that is an object's."""
    try:
        from datakeep.store.hashing import hash_file  # late: a question about a hash needs it not

        size_bytes, md5, sha256 = hash_file(path.resolve())
        digests: list[tuple[str | None, str]] = [("sha256", sha256.hex()), ("md5", md5.hex())]
        if size_bytes <= _MAX_COMMITTED_BYTES:
            data = path.read_bytes()
            git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
            digests.append(("git", git.hexdigest()))
    except OSError as error:
        raise SourceUnreadable(
            f"{path} cannot be read ({error.strerror or error})",
            next_step="make it readable, then run the same command again",
        ) from error
    if named is None:
        return _Wanted(tuple(digests))
    notes = []
    if named.digests and named.digests[0][1] != md5.hex():
        notes.append(
            f"its bytes are not what its name says: their md5 is {md5.hex()}; datakeep fsck tells more"
        )
        digests.clear()
    digests[:0] = [one for one in named.digests if one not in digests]
    return replace(named, digests=tuple(digests), notes=tuple(notes))


class _Finder:
    """Looks for one thing in one index."""

    def __init__(self, keep: Keep, index: Index, wanted: _Wanted) -> None:
        self._keep, self._index, self._wanted = keep, index, wanted
        self._rows = index.database.execute
        self._notes = list(wanted.notes)

    def answer(self, subject: str) -> WhatIs:
        meanings = list(dict.fromkeys(self._meanings()))
        meanings.sort(
            key=lambda one: (one.what == _READ, one.name != self._wanted.dataset, one.name, one.what)
        )
        lacking = not_searched(self._index, "files")
        digests = tuple(f"{name}:{digits}" if name else digits for name, digits in self._wanted.digests)
        return WhatIs(
            subject,
            digests,
            tuple(meanings),
            (*self._notes, *([] if meanings else self._prefix())),
            (str(lacking),) if lacking else (),
            tuple(one for kind in ("dataset", "model") for one in self._index.broken(kind)),
        )

    def _meanings(self) -> Iterator[Meaning]:
        wanted = self._wanted
        if wanted.bundle:
            dataset, version, commit = wanted.bundle
            yield from self._version("the bundle of this version", "commit_id", commit, (dataset, version))
        if wanted.proof and (entry := self._index.entry(wanted.proof)):
            yield from self._committed(entry.path)
        for algorithm, digits in wanted.digests:
            yield from self._of_digest(algorithm, digits)

    def _of_digest(self, algorithm: str | None, digits: str) -> Iterator[Meaning]:
        if algorithm in (None, "md5"):
            yield from self._objects(digits)
        if self._wanted.is_folder:
            return
        for name in hashes.ALGORITHMS:
            if algorithm in (None, name) and len(digits) <= {"md5": 32, "sha256": 64}[name]:
                yield from self._files(name, digits)
        if algorithm in (None, "sha256"):
            yield from self._models(digits)
            yield from self._readers(digits)
            yield from self._version("the inventory", "inventory", digits)
            yield from self._version("the content id", "content", f"sha256:{digits}")
        if algorithm in (None, "git"):
            yield from self._version("the commit", "commit_id", digits)
            query = "SELECT path FROM entry WHERE object >= ? AND object < ? ORDER BY path"
            for (path,) in self._rows(query, _range(digits)).fetchall():
                yield from self._committed(path)

    def _files(self, name: hashes.Algorithm, digits: str) -> Iterator[Meaning]:
        """By dataset, the paths and versions of the files with this digest."""
        paths: dict[str, set[str]] = defaultdict(set)
        versions: dict[str, set[int]] = defaultdict(set)
        known: dict[int, list[tuple[str, int]]] = {}
        for count, (inventory, row) in enumerate(hashes.find(self._index.database, name, digits)):
            if count >= _MAX_ROWS:
                self._notes.append(f"more than {_MAX_ROWS:,} files have these bytes; only some are named")
                break
            if inventory not in known:
                known[inventory] = hashes.versions_of(self._index.database, inventory)
            path = hashes.path_of(self._index.database, inventory, row) if known[inventory] else ""
            for dataset, number in known[inventory]:
                paths[dataset].add(path)
                versions[dataset].add(number)
        for dataset, numbers in versions.items():
            yield self._of_versions("a file", dataset, numbers, sorted(paths[dataset]))

    def _objects(self, digits: str) -> Iterator[Meaning]:
        """Objects of a store that are no files of the data: lists and inventories, by their md5."""
        query = (
            "SELECT o.what, v.dataset, v.number FROM object o JOIN version v ON v.path = o.path "
            "WHERE o.name >= ? AND o.name < ?"
        )
        low, high = (f"{digits}.dir", f"{digits}.dis") if len(digits) == 32 else _range(digits)
        if not self._wanted.is_folder:
            low, high = _range(digits)
        found: dict[tuple[str, str], set[int]] = defaultdict(set)
        for what, dataset, number in self._rows(query, (low, high)):
            found[what, dataset].add(number)
        for (what, dataset), numbers in found.items():
            yield self._of_versions(what, dataset, numbers)

    def _version(
        self, what: str, column: str, digits: str, only: tuple[str, str] | None = None
    ) -> Iterator[Meaning]:
        """Versions of which a fact begins with ``digits``."""
        query = f"SELECT dataset, number FROM version WHERE {column} >= ? AND {column} < ?"  # noqa: S608  # ours
        found: dict[str, set[int]] = defaultdict(set)
        for dataset, number in self._rows(query, _range(digits)):
            if only is None or only == (dataset, f"v{number}"):
                found[dataset].add(number)
        for dataset, numbers in found.items():
            yield self._of_versions(what, dataset, numbers)

    def _models(self, digits: str) -> Iterator[Meaning]:
        query = (
            "SELECT e.name, e.number, a.file FROM artifact a JOIN entry e ON e.path = a.path "
            "WHERE a.sha256 >= ? AND a.sha256 < ? ORDER BY e.name, e.number, a.file"
        )
        for name, number, file in self._rows(query, _range(digits)):
            step = f"datakeep audit model:{name}@v{number}"
            yield Meaning("a model's file", name, (f"v{number}",), (file,), next_step=step)

    def _readers(self, digits: str) -> Iterator[Meaning]:
        if not any(same_bytes.readers(self._index.database, digits)):
            return
        from datakeep.workflows.undeclared import readers_in  # late: most bytes are nobody's undeclared input

        for one in readers_in(self._index, digits):
            name, _, version = one.model.partition("@")
            step = f"datakeep audit model:{one.model}"
            yield Meaning(_READ, name, (version,), one.at, next_step=step)

    def _committed(self, path: str) -> Iterator[Meaning]:
        entry = self._index.entry(path)
        if entry is None:
            return
        kinds = {"dataset": "the register entry", "model": "the model record", "proof": "a proof"}
        place = entry.place
        if place.kind == "proof":
            yield self._of_versions("a proof", place.name, {place.number}, [path])
            return
        versions = (f"v{place.number}",) if place.number else ()
        what = kinds.get(place.kind, "the file of a person")
        step = {
            "dataset": f"datakeep show {place.name}@v{place.number}",
            "model": f"datakeep audit model:{place.name}@v{place.number}",
        }.get(place.kind, "datakeep people list")
        yield Meaning(what, place.name, versions, (path,), next_step=step)

    def _of_versions(
        self, what: str, dataset: str, numbers: Iterable[int], paths: Sequence[str] = ()
    ) -> Meaning:
        """What the register says of the newest of these versions goes with the answer."""
        ordered = sorted(numbers)
        newest = f"{dataset}@v{ordered[-1]}"
        get = f"datakeep checkout {newest} DEST" if what == "a file" else f"datakeep show {newest}"
        made = Meaning(what, dataset, tuple(f"v{one}" for one in ordered), tuple(paths), next_step=get)
        entry = self._index.entry(f"register/{dataset}/v{ordered[-1]}.yaml")
        if entry is None or entry.data is None:
            return made
        stores = self._keep.holding_at(entry.path, entry.data["stores"])
        return replace(made, owner=_owner(entry.data), repository=entry.data["repository"], stores=stores)

    def _prefix(self) -> Iterator[str]:
        """Whose prefix of a store an object lies in that no version is known to have."""
        dataset = self._wanted.dataset
        query = "SELECT data FROM entry WHERE kind = 'dataset' AND name = ? AND data IS NOT NULL ORDER BY number DESC"
        row = self._rows(query, (dataset,)).fetchone() if dataset else None
        if row:
            whose = _owner(json.loads(row[0])) or "an owner who is not stated"
            yield f"it lies where the objects of the dataset {dataset} lie, of {whose}"


def _owner(entry: dict[str, Any]) -> str | None:
    """The owner that the manifest in a register entry states; the index holds only what was found to be whole."""
    owner = entry["manifest"].get("owner")
    return f"{owner.get('name')} <{owner.get('email')}>" if isinstance(owner, dict) and owner else None


def _range(digits: str) -> tuple[str, str]:
    """Between which two texts all lie that begin with ``digits``."""
    return digits, f"{digits}g"
