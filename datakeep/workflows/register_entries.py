"""The register of a keep: which datasets and versions there are, and what their entries say."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.errors import (
    DamagedBytes,
    DatakeepError,
    InvalidFile,
    UnknownName,
)
from datakeep.core.names import (
    NAME,
    VERSION,
    Reference,
    nearest,
    parse_reference,
    some_versions,
    version_number,
)
from datakeep.repository import working

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from datakeep.core.progress import Progress
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.keep import KeepRepository
    from datakeep.repository.keep_tree import KeepTree

#: The backend whose versions the stores hold as bundles.
BUNDLED = "git"


def entry_path(dataset: str, version: str) -> str:
    """Where the register has a version."""
    return f"register/{dataset}/{version}.yaml"


class RegisterEntries:
    """The register, read at one commit of the clone.

    Attributes:
        repository: The clone.
        tree: Its files at that commit.
        progress: Is warned of entries that cannot be read.
    """

    def __init__(self, repository: KeepRepository, tree: KeepTree, progress: Progress) -> None:
        self.repository = repository
        self.tree = tree
        self.progress = progress

    @property
    def root(self) -> Path:
        """The folder of the clone."""
        return self.repository.root

    def turn_to(self, tree: KeepTree) -> None:
        """Read at another commit from now on."""
        for name in ("_versions", "_some_versions"):
            self.__dict__.pop(name, None)
        self.tree = tree

    @cached_property
    def _versions(self) -> dict[str, list[str]]:
        return _versions_in(self.tree.list("register/"))

    @cached_property
    def _some_versions(self) -> dict[str, list[str]]:
        """Of the datasets that were asked for by name: a question about one need not list all."""
        return {}

    @property
    def datasets(self) -> list[str]:
        """The names of all registered datasets."""
        return list(self._versions)

    @property
    def strays(self) -> list[str]:
        """What looks like entries, in folders that no dataset can have the name of."""
        paths = filter(_is_entry, self.tree.list("register/"))
        return [path for path in paths if not NAME.fullmatch(path.split("/")[1])]

    def versions(self, dataset: str) -> list[str]:
        """The versions of a dataset, oldest first; none if it is not registered."""
        if "_versions" in self.__dict__ or not NAME.fullmatch(dataset):
            return self._versions.get(dataset, [])
        if dataset not in self._some_versions:
            found = _versions_in(self.tree.list(f"register/{dataset}/"))
            self._some_versions[dataset] = found.get(dataset, [])
        return self._some_versions[dataset]

    def resolve(self, text: str, *, asking: bool = True) -> Reference:
        """The version that ``orders`` or ``orders@v3`` means; an earlier name (alias) works as well.

        Where there is none, origin is asked whether it is published; not with ``asking`` False, for what a record of
        this very commit names.

        Raises:
            UsageError: It is malformed.
            UnknownName: There is no such dataset or version; says what is near.
        """
        wanted = parse_reference(text.removeprefix("dataset:"))
        name = wanted.name if self.versions(wanted.name) else self._by_alias(wanted.name, asking=asking)
        versions = self.versions(name)
        if wanted.version and wanted.version not in versions:
            said, pull = self.elsewhere() if asking else ("", None)
            raise UnknownName(
                f"{name} has no version {wanted.version}; it has {some_versions(versions)}{said and f'; {said}'}",
                next_step=pull or f"datakeep log {name}",
            )
        return Reference(name, wanted.version or versions[-1])

    def _by_alias(self, alias: str, *, asking: bool) -> str:
        if dataset := self.dataset_once_called(alias):
            return dataset
        near = nearest(alias, self.datasets)
        hint = f"; did you mean {near!r}?" if near else ""
        if any(VERSION.fullmatch(name) for name in self._models(alias)):
            raise UnknownName(
                f"this keep has no dataset {alias!r}, but a model of this name",
                next_step=f"datakeep audit model:{alias}",
            )
        said, pull = self.elsewhere() if asking else ("", None)
        raise UnknownName(
            f"this keep has no dataset {alias!r}{said and f' ({said})'}{hint}",
            next_step=pull or "datakeep list",
        )

    def _models(self, name: str) -> list[str]:
        """The versions that a model of this name is recorded in, if there is one."""
        prefix = f"models/{name}/"
        found = self.tree.list(prefix) if NAME.fullmatch(name) else ()
        return [path.removeprefix(prefix).removesuffix(".yaml") for path in found]

    def elsewhere(self) -> tuple[str, str | None]:
        """Whether what is not here may be published, as origin says now, and how to get it."""
        try:
            found = working.divergence(self.root)
        except DatakeepError as error:
            return f"whether it is published elsewhere is not known: {error.what}", None
        if not found or not found.behind:
            return "nothing newer is published", None
        commits = counted(found.behind, "published commit")
        return f"this clone of the keep lacks {commits}", f"git -C {self.root} pull --rebase"

    def warn_if_behind(self) -> None:
        """A warning, if this clone has fetched commits that it does not show; nobody is asked."""
        if behind := working.known_behind(self.root):
            commits = counted(behind, "published commit")
            self.progress.warn(f"{commits} not shown here yet: git -C {self.root} pull --rebase")

    def dataset_once_called(self, alias: str) -> str | None:
        """The dataset that has ``alias`` as an earlier name."""
        for entry in self.newest_entries(holding=("aliases", alias)):
            if alias in entry.manifest.get("aliases", []):
                return entry.dataset
        return None

    def entry(self, reference: Reference | str, *, asking: bool = True) -> VersionEntry:
        """The register entry of a version, the newest if none is named; ``asking`` as in :meth:`resolve`.

        Raises:
            UnknownName, InvalidFile: It does not exist, or cannot be read.
        """
        found = self.resolve(str(reference), asking=asking)
        path = entry_path(found.name, found.version or "")
        return _entry(self.tree.read(path) or b"", path)

    def readable_entry(self, reference: str) -> VersionEntry:
        """As :meth:`entry`; a name alone means the newest version that can be read, and a warning says so.

        Raises:
            UnknownName: There is no such dataset or version.
            InvalidFile, DamagedBytes: The version that is named, or any of the dataset, cannot be read.
        """
        try:
            return self.entry(reference)
        except (InvalidFile, DamagedBytes) as fault:
            older = None if "@" in reference else self._older(self.resolve(reference).name, fault)
            if older is None:
                raise
            return older

    def _older(self, dataset: str, fault: DatakeepError) -> VersionEntry | None:
        """The newest version that can be read, where the newest cannot."""
        from datakeep.formats.version import VersionEntry

        found = [one for one in self.entries_or_faults(dataset).values() if isinstance(one, VersionEntry)]
        shown = f"the newest that can be read is {found[-1].version}" if found else "no other can be read"
        self.progress.warn(f"{fault.what}; of {dataset} {shown}")
        return found[-1] if found else None

    def entries_or_faults(self, dataset: str) -> dict[str, VersionEntry | DatakeepError]:
        """Version to its entry, or to why that cannot be read; oldest first."""
        paths = {entry_path(dataset, version): version for version in self.versions(dataset)}
        return {paths[path]: one for path, one in self.read_entries(list(paths)).items()}

    def read_entries(self, paths: Sequence[str]) -> dict[str, VersionEntry | DatakeepError]:
        """Each of ``paths`` of the register that is there to its entry, or to why that cannot be read."""
        texts = self.tree.read_many(paths)
        found: dict[str, VersionEntry | DatakeepError] = {}
        for path in paths:
            if path not in texts:
                continue
            try:
                found[path] = _entry(texts[path], path)
            except (InvalidFile, DamagedBytes) as error:
                found[path] = error
        return found

    def many_entries(self, paths: Sequence[str]) -> dict[str, VersionEntry | DatakeepError]:
        """As :meth:`read_entries`; whoever has a faster way for thousands puts it here."""
        return self.read_entries(paths)

    def at_commit(self, dataset: str, commit: str) -> VersionEntry | None:
        """The version of a dataset that is this commit; None if none is that can be read."""
        return next((entry for entry in self._naming(dataset, commit) if entry.commit == commit), None)

    def with_content(self, dataset: str, content: str) -> VersionEntry | None:
        """The newest version of the dataset that has these bytes; None if none has that can be read."""
        found = [entry for entry in self._naming(dataset, content) if entry.content == content]
        return max(found, key=lambda entry: version_number(entry.version), default=None)

    def _naming(self, dataset: str, digits: str) -> Iterator[VersionEntry]:
        """The entries in whose text ``digits`` are: parsing all of them takes far longer."""
        texts = self.tree.read_many(entry_path(dataset, version) for version in self.versions(dataset))
        for path, text in texts.items():
            if digits.encode("ascii") in text:
                with contextlib.suppress(InvalidFile, DamagedBytes):
                    yield _entry(text, path)

    def entries(self, dataset: str) -> list[VersionEntry]:
        """All entries of a dataset, oldest first."""
        paths = [entry_path(dataset, version) for version in self.versions(dataset)]
        texts = self.tree.read_many(paths)
        return [_entry(texts[path], path) for path in paths]

    def newest_entries(self, *, holding: Sequence[str] = ()) -> list[VersionEntry]:
        """The newest entry of each dataset that can be read; a warning names those that cannot.

        Args:
            holding: Only entries whose text has all of these; parsing ten thousand others takes a minute.
        """
        from datakeep.formats.version import VersionEntry

        needles = [text.encode("utf-8") for text in holding]
        paths = [entry_path(name, versions[-1]) for name, versions in self._versions.items()]
        if needles:
            texts = self.tree.read_many(paths)
            paths = [path for path, text in texts.items() if all(needle in text for needle in needles)]
        found = []
        for path, one in self.many_entries(paths).items():
            entry = one if isinstance(one, VersionEntry) else self._older(path.split("/")[1], one)
            if entry:
                found.append(entry)
        return found


def _versions_in(paths: Iterable[str]) -> dict[str, list[str]]:
    """Dataset to its versions, oldest first, of paths of the register."""
    found: dict[str, list[str]] = {}
    for path in paths:
        parts = path.removesuffix(".yaml").split("/")
        if _is_entry(path) and NAME.fullmatch(parts[1]):
            found.setdefault(parts[1], []).append(parts[2])
    return {name: sorted(versions, key=version_number) for name, versions in sorted(found.items())}


def _is_entry(path: str) -> bool:
    parts = path.removesuffix(".yaml").split("/")
    return len(parts) == 3 and path.endswith(".yaml") and VERSION.fullmatch(parts[2]) is not None


def _entry(text: bytes, path: str) -> VersionEntry:
    from datakeep.formats.version import VersionEntry

    entry = VersionEntry.read(text, what=path)
    if path != entry_path(entry.dataset, entry.version):
        raise DamagedBytes(
            f"{path} says that it is {entry.dataset}@{entry.version}",
            next_step=f"restore it from history: git log -- {path}",
        )
    return entry
