"""``adopt``: an existing git or DVC repository becomes a dataset in place, with its history and its objects.

The repository is somebody else's: it is cloned by the hardened function and read as text; nothing of it runs.
docs/adopt.md says what becomes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import (
    AlreadyExists,
    DatakeepError,
    IncompleteManifest,
    Unsupported,
    UsageError,
)
from datakeep.core.names import check_name
from datakeep.core.secrets import strip_url
from datakeep.formats.manifest import Manifest
from datakeep.repository.adopting import AdoptedRepository
from datakeep.repository.pointers import pointer_files
from datakeep.store import dvc_format, dvc_repository
from datakeep.store.foreign_objects import ForeignObject, ForeignObjects, damaged
from datakeep.store.scan import Scan, SourceFile, SourceFiles
from datakeep.workflows import facts
from datakeep.workflows.adopted_history import take_older
from datakeep.workflows.adopted_source import find, taken_over
from datakeep.workflows.adopted_tree import (
    Tip,
    layout,
    names_of,
    place_in_data,
    refuse_lfs,
    roots_of,
    top_level,
)
from datakeep.workflows.asked_splits import settle_splits
from datakeep.workflows.checkout import staging_folder
from datakeep.workflows.given_facts import attach_asked, check_aliases, document_of, same_fact
from datakeep.workflows.inventories import INVENTORY
from datakeep.workflows.left_by import left_notes
from datakeep.workflows.new_data import describe_into, refuse_git_control
from datakeep.workflows.parents import check_parents
from datakeep.workflows.prepare import MANIFEST, Draft
from datakeep.workflows.profiling import forgotten_profile
from datakeep.workflows.publish import Publisher
from datakeep.workflows.register import Registered
from datakeep.workflows.sweep_marks import marks
from datakeep.workflows.takers import takers, way_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from datakeep.repository.foreign import Access
    from datakeep.repository.identity import Identity
    from datakeep.store.dvc_repository import Output
    from datakeep.store.interface import Store
    from datakeep.workflows.adopted_source import Source
    from datakeep.workflows.adopted_tree import Layout
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.register import Request

#: Rules of a policy that looking at the files may satisfy.
_SEEN = frozenset({"columns", "contents"})
_MESSAGE = "adopted from"
_DATA = facts.Fact("data", "--data", "the folder of the repository that is the data")


@dataclass(frozen=True, slots=True)
class _Contents:
    """What becomes data.

    Args:
        chosen: Path in ``data/`` to path in the repository.
        objects: Path in ``data/`` to DVC's object, of those that are in no commit.
        places: Where the objects are; None for a repository without DVC.
        notes: What a person should know, one sentence each.
        outputs: What DVC's pointers say of the objects.
        partly: Outputs were left out.
    """

    chosen: dict[str, str]
    objects: dict[str, ForeignObject] = field(default_factory=dict)
    places: ForeignObjects | None = None
    notes: list[str] = field(default_factory=list)
    outputs: Sequence[Output] = ()
    partly: bool = False

    @property
    def backend(self) -> str:
        """How the bytes are kept: as the repository did."""
        return "dvc" if self.places else "git"

    def own(self, tip: Tip) -> list[SourceFile]:
        """The files that git has, where the clone has them."""
        files = []
        for place, path in sorted(self.chosen.items()):
            if place not in self.objects:
                origin = tip.folder / path
                found = origin.lstat()
                files.append(
                    SourceFile(
                        place, origin, found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns
                    )
                )
        return files


def adopt(
    keep: Keep,
    request: Request,
    address: str,
    *,
    data: Sequence[str],
    access: Access,
    who: Identity,
    now: datetime,
) -> Registered:
    """The repository at ``address`` is a dataset of the keep, its history and its bytes in the vault.

    Adopting again what is adopted, unchanged, changes nothing.

    Args:
        keep: The keep.
        request: The dataset's name and facts; it has no sources.
        address: The repository: a folder or a URL.
        data: Which of its paths are the data; by default ``data/``, or all outputs of DVC.
        access: What of this machine the clone may use; the folder itself is added.
        who: Author of the new commit.
        now: The time that is written down.

    Raises:
        AlreadyExists: The name is taken by something else.
        HostileRepository: It holds what could harm this machine. Nothing of it was run.
        UnsafePath, Unsupported: It holds what a dataset cannot; lists all such files.
        DamagedBytes: Objects of it are missing or damaged; lists all such files.
        IncompleteManifest: Facts are missing that the keep's policy requires; lists all.
        UsageError: It is not said what of it is the data.
    """
    name = check_name(request.name)
    keep.refresh()
    keep.require_not_departed(who, now)
    source = find(address, access)
    repository = AdoptedRepository(keep.cache("datasets", f"{name}.git"), keep.dataset_url(name))
    if other := keep.dataset_once_called(name):
        raise AlreadyExists(
            f"{name} is an earlier name of the dataset {other}", next_step="choose another name"
        )
    with staging_folder(keep.cache("adopt"), name, source.commit) as scratch:
        if name in keep.datasets:
            return _already(keep, repository, source, request)
        tip = taken_over(source, scratch / "clone", repository, keep.progress)
        adoption = _Adoption(keep, request, source, repository, tip, scratch, who, now)
        return adoption.publish(adoption.contents(data))


def _already(keep: Keep, repository: AdoptedRepository, source: Source, request: Request) -> Registered:
    """The registered version, if it was adopted from this repository as it is now, with these facts."""
    entry, first = keep.entry(request.name), keep.entries(request.name)[0]
    repository.fetch()
    repository.forget_history()
    if not repository.leads_to(first.commit, source.commit):
        was_this = first.message.startswith(f"{_MESSAGE} {strip_url(source.url)} ")
        how = (
            "adopted already, and"
            if was_this
            else f"registered already, by {first.registered_by}, and not from"
        )
        went_on = " is a commit that it has not" if was_this else ""
        raise AlreadyExists(
            f"{request.name} is {how} {source.said}{went_on}",
            next_step=f"choose another name; or make its files the next version: datakeep update {request.name} "
            "SOURCE -m WHY",
        )
    differing = [path for path, value in request.given.items() if not same_fact(entry.manifest, path, value)]
    if differing:
        raise AlreadyExists(
            f"{request.name} is adopted already, as {first.version}; it is registered with another "
            f"{', '.join(differing)}",
            next_step=f"state them for the next version: datakeep update {request.name} -m WHY, with these options",
        )
    return Registered(entry, created=False)


@dataclass(frozen=True, slots=True)
class _Adoption:
    """One repository on its way into the keep."""

    keep: Keep
    request: Request
    source: Source
    repository: AdoptedRepository
    tip: Tip
    scratch: Path
    who: Identity
    now: datetime

    def contents(self, data: Sequence[str]) -> _Contents:
        """What of the repository becomes data."""
        if inner := [path for path in self.tip.sizes if path.endswith("/.dvc/config")]:
            raise Unsupported(
                f"DVC works in a folder of this repository ({inner[0].removesuffix('/.dvc/config')}), not at its top",
                next_step="move that folder's contents to the top, commit, and adopt again",
            )
        pointers = {path: b"" for path in self.tip.sizes if dvc_repository.is_pointer(path)}
        if ".dvc/config" not in self.tip.sizes or not pointers:
            return self._of_git(data)
        texts = {path: self.tip.read(path) for path in pointers}
        outputs = dvc_repository.read_outputs(texts, {*self.tip.sizes, *self.tip.folders()})
        if MANIFEST in self.tip.sizes and f"format: {Manifest.format_line()}".encode() in self.tip.read(
            MANIFEST
        ):
            # Another keep's dataset: its inventory tells what is in data/, and is not in it itself.
            outputs.found[:] = [one for one in outputs.found if one.path != INVENTORY]
        if outputs.found or outputs.unsupported:
            return self._of_dvc(outputs, data)
        return self._of_git(data)

    def _of_git(self, data: Sequence[str]) -> _Contents:
        if not data:
            data = ["data"] if "data" in self.tip.folders() else self._asked()
        roots = roots_of(self.tip, data, ())
        placed = [
            (place, path) for path in self.tip.sizes if (place := place_in_data(path, roots)) is not None
        ]
        chosen = names_of(placed, normalise=self.request.normalise_names)
        refuse_lfs(self.tip, chosen.values())
        return _Contents(chosen, notes=_renamed(placed, chosen))

    def _asked(self) -> list[str]:
        """What a person says is the data.

        Raises:
            IncompleteManifest, UsageError: Nobody can be asked; lists what there is, and facts that are missing, too.
        """
        lines = top_level(self.tip)
        if self.request.ask is None:
            raise self._unsaid(lines)
        for line in lines:
            self.keep.progress.note(line)
        refused = None
        while True:
            data = [self.request.ask(_DATA, None, refused)]
            try:
                roots_of(self.tip, data, ())
            except UsageError as error:
                refused = error.what
            else:
                return data

    def _unsaid(self, lines: list[str]) -> DatakeepError:
        unsaid = "it is not said what of the repository is the data"
        command = f"{self.request.command} --data FOLDER"
        try:
            self._early(replace(self.request, backend="git", command=command))
        except IncompleteManifest as error:
            things = [*error.things, *(f"--data FOLDER, perhaps {line}" for line in lines)]
            return IncompleteManifest(f"{error.what}, and {unsaid}", next_step=error.next_step, things=things)
        again = f"{command} (repeat it for several folders or files)"
        return UsageError(unsaid, next_step=again, things=lines)

    def _of_dvc(self, outputs: dvc_repository.Outputs, data: Sequence[str]) -> _Contents:
        roots = roots_of(self.tip, data, {*outputs.unsupported, *(output.path for output in outputs.found)})
        among = outputs.among(roots)
        objects = self._objects()
        wanted = self._listed(among, objects)
        tracked = [
            path
            for path in self.tip.sizes
            if (roots or path.startswith("data/"))
            and not dvc_repository.is_pointer(path)
            and path.rpartition("/")[2] not in (".gitignore", ".dvcignore")
        ]
        placed = [
            (place, path) for path in (*wanted, *tracked) if (place := place_in_data(path, roots)) is not None
        ]
        chosen = names_of(placed, normalise=self.request.normalise_names)
        refuse_lfs(self.tip, (path for path in chosen.values() if path not in wanted))
        notes = [*outputs.notes, *_renamed(placed, chosen)]
        used = set(chosen.values())
        left = [one.path for one in outputs.found if one not in among] + [
            path for path in wanted if path not in used
        ]
        if left:
            notes.append(
                f"left out, because not chosen: {', '.join(left[:5])}{' …' if len(left) > 5 else ''}"
            )
        taken = {place: wanted[path] for place, path in chosen.items() if path in wanted}
        objects.look_for(taken.values())
        if missing := {
            chosen[place]: objects.lacking() for place, one in taken.items() if not objects.is_held(one)
        }:
            raise damaged(missing)
        # Of a folder of which only a part is taken, the number of files says nothing.
        partly = {path[:at] for path in left for at, mark in enumerate(path) if mark == "/"}
        told = [one for one in among if one.path not in partly]
        return _Contents(chosen, taken, objects, notes, told, partly=bool(left))

    def _objects(self, scratch: str = "objects") -> ForeignObjects:
        places = dvc_repository.places(self.tip.read(".dvc/config"), self.source.folder)
        return ForeignObjects(places.stores, places.unusable, self.scratch / scratch, self.keep.progress)

    def _take_older(self, contents: _Contents, stores: Sequence[Store]) -> list[str]:
        """The objects of older commits are in the stores as well; what a person should know of it."""
        return take_older(
            pointer_files(str(self.keep.cache("datasets", f"{self.request.name}.git"))),
            self._objects("older"), stores, self.request.name,
            taken={one.md5 for one in contents.objects.values()}, lists_only=contents.partly,
        )  # fmt: skip

    def _listed(self, outputs: Sequence[Output], objects: ForeignObjects) -> dict[str, ForeignObject]:
        """Path in the repository to object, of every file of every output.

        Raises:
            DamagedBytes: Lists of folders that cannot be had.
        """
        names = {one.path: ForeignObject(one.md5, one.legacy, one.is_folder) for one in outputs}
        objects.look_for(one for one in names.values() if one.is_folder)
        files: dict[str, ForeignObject] = {}
        faults: dict[str, str] = {}
        for path, one in names.items():
            if not one.is_folder:
                files[path] = one
                continue
            data = objects.listing(one, dvc_format.MAX_TREE_BYTES)
            if isinstance(data, str):
                faults[f"{path}/ (the list of its files)"] = data
                continue
            for below, md5 in dvc_format.tree_rows(data, what=f"the list of files of {path}").items():
                files[f"{path}/{below}"] = ForeignObject(md5, one.legacy)
        if faults:
            raise damaged(faults)
        return files

    def publish(self, contents: _Contents) -> Registered:
        """The version is in the vault and in the register; until then nobody sees anything of it."""
        keep, name = self.keep, self.request.name
        made = layout(
            self.tip, contents.backend, [path for path in contents.chosen.values() if path in self.tip.sizes]
        )
        document, files = self._early(replace(self.request, backend=contents.backend))
        likely = settle_splits(self.request, document, sorted(contents.chosen))
        _name_readme(document, made)
        without = self.request.without_stores
        publisher = Publisher(keep, self.who, self.now, without=without)
        own = contents.own(self.tip)
        inventory, found, before = None, SourceFiles.of(own), None
        if contents.places:
            with way_out(keep, without):
                stores = takers(keep, None, without)
                before = marks(stores)  # from now on, what gc deletes may be what is taken here
                inventory, read = contents.places.take(
                    contents.objects, own, stores, name, called=contents.chosen
                )
                contents.notes.extend(self._take_older(contents, stores))
            sizes = {contents.chosen[file.path]: file.size_bytes for file in inventory.files}
            dvc_repository.require_counts(contents.outputs, sizes)
            found = SourceFiles.of(read)
        notes = describe_into(document, Scan(found, []), keep)
        refuse_git_control(document, Scan(found, []))
        if self.request.manifest is None:
            document = facts.ordered(document)
        self._complete(document, keep.file.policy.require, self.request.command)
        check_parents(keep, document)  # once more: a person may have been asked for them
        files |= attach_asked(document, files)
        publisher.make_repository(name)
        draft = Draft(
            name, self.repository.free_version(), document, f"{_MESSAGE} {self.source.said}",
            onto=self.source.commit, files={**made.files, **forgotten_profile(self.tip), **files},
            source=None if inventory else found, inventory=inventory,
        )  # fmt: skip
        prepared = publisher.prepare(draft)
        prepared = replace(prepared, marks=before or prepared.marks)
        self.repository.publish_history()
        published = publisher.publish(prepared)
        self.repository.forget_history()
        left = left_notes(self.keep, published.entry)
        return Registered(
            published.entry, published.is_new, notes=(*contents.notes, *made.notes, *notes, *likely, *left)
        )

    def _early(self, request: Request) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The manifest as far as it does not take a look at the data, and the files that it names.

        Raises:
            IncompleteManifest: Facts are missing, and nobody can be asked; lists all.
        """
        document, files = document_of(request, self.who)
        check_aliases(self.keep, request.name, document)
        check_parents(self.keep, document)
        require = [rule for rule in self.keep.file.policy.require if rule.partition(".")[0] not in _SEEN]
        self._complete(document, require, request.command)
        return document, files

    def _complete(self, document: dict[str, Any], require: Sequence[str], command: str) -> None:
        day = self.repository.day_of(self.source.commit)
        facts.complete(
            document,
            require,
            ask=self.request.ask,
            suggestions={"source.origin": strip_url(self.source.url), "source.extracted_at": day},
            command=command,
        )


def _renamed(placed: Sequence[tuple[str, str]], chosen: dict[str, str]) -> list[str]:
    count = sum(place not in chosen for place, _ in placed)
    return [
        f"{count} names were brought into Unicode's NFC form; older commits have them as they were"
    ] * bool(count)


def _name_readme(document: dict[str, Any], made: Layout) -> None:
    """The card links to the README that it took the place of."""
    if made.readme:
        link = {"title": "README of the repository before it was adopted", "path": made.readme}
        document["documents"] = [*(document.get("documents") or []), link]
