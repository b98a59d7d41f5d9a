"""The clean room: one dataset version, taken through the layers of a handover with nothing of its author's machine.

Each layer is a method that returns its positive verdict in one sentence, or raises :class:`LayerFailed`; what
this machine alone lacks is no layer's answer, and is raised as it is.
What a layer found stays in the room for the later ones, and for the proof. ``verify`` walks through all
layers; ``reference --measure`` uses the last ones to see what a training scores.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from datakeep.core.counts import counted
from datakeep.core.criteria import Comparison, Criterion, compare
from datakeep.core.errors import (
    AccessDenied,
    DamagedBytes,
    DatakeepError,
    HostileRepository,
    StoreUnreachable,
)
from datakeep.core.sizes import size
from datakeep.core.verdict import Actor, Fault
from datakeep.formats import yaml
from datakeep.formats.manifest import Manifest
from datakeep.repository import foreign, submodules
from datakeep.repository.command import local_path
from datakeep.repository.faults import NeverPushed, RepositoryDamaged, RepositoryMissing, VersionLost
from datakeep.rerun import environment as environments
from datakeep.rerun import training as trainings
from datakeep.rerun.environment_faults import EnvironmentFault
from datakeep.workflows import attachments, facts
from datakeep.workflows.blame import (
    LayerFailed,
    access_fault,
    bytes_fault,
    damage,
    is_of_this_machine,
    lost_version,
    no_reference,
    training_fault,
)
from datakeep.workflows.bundles import is_bundled
from datakeep.workflows.prepare import MANIFEST
from datakeep.workflows.register_entries import entry_path
from datakeep.workflows.transfer import Transfer, clone_limits, transfer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.formats.inventory import Inventory
    from datakeep.formats.manifest import ReferenceTraining
    from datakeep.formats.version import VersionEntry
    from datakeep.repository.foreign import Access
    from datakeep.rerun.environment import EnvironmentReport
    from datakeep.rerun.interface import Finished, Sandbox
    from datakeep.rerun.training import TrainingReport
    from datakeep.workflows.keep import Keep


@dataclass(frozen=True, slots=True)
class Settings:
    """How a clean room is run.

    Args:
        sandbox: Where foreign programs run.
        access: What of this host a clone may use.
        host_environment: This machine's variables: the package transport's are let in, the others are only
            used to say which one a training missed.
        fresh_packages: Download all packages anew.
        allow_build: Let packages without a wheel be built, which runs their code.
        package_cache: Where packages are kept between runs.
    """

    sandbox: Sandbox
    access: Access
    host_environment: Mapping[str, str]
    fresh_packages: bool = False
    allow_build: bool = False
    package_cache: Path = field(default_factory=environments.default_cache)


def access_for(keep: Keep, *, ssh_key: Path | None = None, credential_helper: str | None = None) -> Access:
    """What a receiver's clone may use of the host: their credentials, and the vault's folder if it is one."""
    return foreign.Access(
        ssh_key=ssh_key,
        credential_helper=credential_helper,
        allow_file=local_path(keep.git_base),
        home=Path.home(),
    )


class CleanRoom:
    """The layers, for one version.

    Args:
        keep: The keep.
        entry: The version.
        folder: An empty folder, for everything.
        settings: How.
        url: Where the dataset is cloned from; the vault by default.
    """

    def __init__(
        self, keep: Keep, entry: VersionEntry, folder: Path, settings: Settings, *, url: str | None = None
    ) -> None:
        self.keep = keep
        self.entry = entry
        self.settings = settings
        self.url = url or keep.dataset_url(entry.dataset)
        self.checkout = folder / "dataset"
        self.out = folder / "out"
        self._folder = folder
        self.let_in: tuple[str, ...] = ()
        self.warnings: list[str] = []
        self.inventory: Inventory | None = None
        self.transfer: Transfer | None = None
        self.environment_report: EnvironmentReport | None = None
        self.training_report: TrainingReport | None = None
        self.comparisons: list[Comparison] = []
        self._damage: RepositoryDamaged | None = None
        self._code: Path | None = None
        self._base: Path | None = None

    @property
    def _name(self) -> str:
        return f"{self.entry.dataset}@{self.entry.version}"

    @property
    def reference(self) -> ReferenceTraining:
        """The training that the version states.

        Raises:
            IncompleteManifest: It states none.
        """
        reference = self.entry.manifest_model().reference
        if reference is None:
            raise no_reference(self.keep, self.entry)
        return reference

    # ---- access

    def access(self) -> str:
        """The dataset can be cloned with the receiver's own rights, and a store with its bytes answers."""
        try:
            self._require_published()
            self._clone()
            stores = self._usable_stores()
        except (StoreUnreachable, AccessDenied, HostileRepository, NeverPushed, VersionLost) as error:
            if is_of_this_machine(error):
                raise
            raise LayerFailed(access_fault(self.entry, error)) from error
        where = f"; bytes in {', '.join(stores)}" if stores else ""
        done = "reached" if self._damage else "cloned"
        but = f" but its {', '.join(self.let_in)}" if self.let_in else ""
        return f"{done} {self.entry.version} from {self.url} with nothing of this host{but}{where}"

    def _clone(self) -> None:
        """A repository that answers but is damaged can be accessed: that fault is one of its bytes."""
        try:
            done = foreign.clone(
                self.url,
                self.checkout,
                commit=self.entry.commit,
                tag=self.entry.version,
                access=self.settings.access,
                limits=clone_limits(self.entry),
            )
            self.let_in = done.let_in
        except RepositoryDamaged as error:
            self._damage = error
        except (RepositoryMissing, VersionLost) as error:
            raise lost_version(type(error), self.entry, self.url) from error

    def _require_published(self) -> None:
        """The register entry is in the vault, and the submodule leads to the repository that was registered."""
        path = entry_path(self.entry.dataset, self.entry.version)
        commit = self.keep.repository.added_in(path)
        url = (
            self.keep.published_url
            if self.keep.git_base == self.keep.file.vault.git
            else self.keep.repository.url
        )
        published = foreign.published_main(url, self.settings.access)
        if published is None or commit is None or not self.keep.repository.is_published(commit):
            raise NeverPushed(
                f"{path} is in this clone of the keep, but was never pushed to {url}",
                next_step=f"ask {self.entry.registered_by} to push it: git -C KEEP push origin main",
            )
        text = (self.keep.tree.read(".gitmodules") or b"").decode("utf-8", "replace")
        modules = submodules.parse(text)
        submodules.check(modules)
        place = f"datasets/{self.entry.dataset}"
        led = next((module.url for module in modules if module.path == place), None)
        if led is None or submodules.resolve_url(self.keep.published_url, led) != self.entry.repository:
            raise NeverPushed(
                f"the keep's submodule {place} leads to {led or 'nowhere'}, but {self._name} was registered at "
                f"{self.entry.repository}",
                next_step="correct .gitmodules in the keep, commit and push it",
            )

    def _usable_stores(self) -> list[str]:
        usable, faults = [], []
        for store in self.keep.stores(self._sources):
            try:
                store.check(keep=self.keep.name)
                usable.append(store.name)
                if store.credentials and store.credentials not in self.let_in:
                    self.let_in = (*self.let_in, store.credentials)
            except DatakeepError as error:
                faults.append(error)
                self.warnings.append(error.what)
        if faults and not usable:
            raise faults[0]
        return usable

    @property
    def _sources(self) -> tuple[str, ...]:
        """The stores that the bytes come from; none for the git backend, whose bytes come with the clone."""
        return () if is_bundled(self.entry) else self.keep.holding(self.entry)

    def enter_unpublished(self) -> None:
        """The commit of a version that nobody can see yet is cloned, as ``access`` does for a published one.

        Raises:
            DatakeepError: It cannot be cloned, or holds what could harm this machine.
        """
        foreign.clone(self.url, self.checkout, commit=self.entry.commit, access=self.settings.access)

    # ---- bytes

    def bytes(self) -> str:
        """Every file is there, and every byte of it was read and is the registered one."""
        if self._damage is not None:
            raise LayerFailed(damage(self.entry, self._damage.what, self._damage.things, self.url))
        try:
            self.transfer = transfer(self.keep, self.entry, self.checkout)
        except (DamagedBytes, HostileRepository, StoreUnreachable) as error:
            if is_of_this_machine(error):
                raise
            raise LayerFailed(bytes_fault(self.entry, error, self._places)) from error
        self.inventory = self.transfer.inventory
        self.warnings += self.transfer.repaired
        if not self.transfer.is_whole:
            raise LayerFailed(damage(self.entry, self.transfer.summary, self.transfer.evidence, self._places))
        return self.transfer.summary

    @property
    def _places(self) -> str:
        return ", ".join(self._sources) or "the git base"

    # ---- manifest

    def manifest(self) -> str:
        """The manifest in the clone is the registered one, complete by the keep's policy, and its files exist."""
        text = (self.checkout / MANIFEST).read_bytes() if (self.checkout / MANIFEST).is_file() else b""
        try:
            found = yaml.plain(yaml.load(text, what=f"{MANIFEST} of {self._name}"))
            manifest = Manifest.of(found, what=f"{MANIFEST} of {self._name}")
        except DatakeepError as error:
            raise LayerFailed(Fault(error.what, Actor.GIVER, error.next_step, error.things)) from error
        self.warnings += [
            f"{MANIFEST} has the field {path!r}, which this datakeep does not know"
            for path, _ in manifest.unknown_fields()
        ]
        faults = []
        if found != self.entry.manifest:
            faults.append(f"{MANIFEST} differs from the manifest in the register entry")
        faults += [
            f"{fact.path} is not stated ({fact.option})"
            for fact in facts.missing(manifest, self.keep.file.policy.require)
        ]
        faults += [
            f"{place}, which the manifest names, does not exist"
            for place in attachments.named_paths(found)
            if not (self.checkout / place).exists()
        ]
        faults += self._empty_splits(manifest)
        if faults:
            what = f"the manifest of {self._name} is not whole: {faults[0]}"
            next_step = f"datakeep update {self.entry.dataset} -m WHY, with what is missing"
            raise LayerFailed(Fault(what, Actor.GIVER, next_step, tuple(faults)))
        return "complete by the keep's policy, as registered, and its files exist"

    def _empty_splits(self, manifest: Manifest) -> list[str]:
        if manifest.splits is None or self.inventory is None:
            return []
        present = set(self.inventory.with_splits(manifest.splits.patterns).table.column("split").to_pylist())
        return [
            f"no file is in the split {name!r}" for name in manifest.splits.patterns if name not in present
        ]

    # ---- environment

    def environment(self) -> str:
        """The training's software is rebuilt from its lock."""
        reference = self.reference
        self._code, self._base = self._find_code(reference)
        try:
            report = environments.rebuild(
                reference.environment,
                self._base,
                self._folder / "environment",
                sandbox=self.settings.sandbox,
                cache=self.settings.package_cache,
                fresh_packages=self.settings.fresh_packages,
                allow_build=self.settings.allow_build,
                transport=environments.transport_of(self.settings.host_environment),
                progress=self.keep.progress,
            )
        except EnvironmentFault as error:
            if is_of_this_machine(error):
                raise
            # The environment is rebuilt without knowing whose it is.
            next_step = error.next_step.replace("NAME", self.entry.dataset)
            raise LayerFailed(Fault(error.what, Actor(error.acts), next_step, error.things)) from error
        self.environment_report = report
        cached = f", {report.from_cache} of them from the local cache" if report.from_cache else ""
        return f"Python {report.python} with {report.installed} packages{cached}"

    def _find_code(self, reference: ReferenceTraining) -> tuple[Path, Path]:
        """The folder that the command runs in, and the one that paths of the environment are relative to."""
        if isinstance(reference.code, str):
            return self.checkout / reference.code, self.checkout
        cloned = self._folder / "code"
        try:
            foreign.clone(
                reference.code.url,
                cloned,
                commit=reference.code.commit,
                access=self.settings.access,
                limits=foreign.Limits(allow_symlinks=True, submodules=True),
            )
        except (StoreUnreachable, AccessDenied, HostileRepository, NeverPushed, RepositoryDamaged) as error:
            if is_of_this_machine(error):
                raise
            what = f"the training's code: {error.what}"
            raise LayerFailed(Fault(what, Actor.GIVER, error.next_step, error.things)) from error
        return cloned / (reference.code.path or ""), cloned

    # ---- training

    def training(self) -> str:
        """The reference training runs to its end, without network, and leaves metrics."""
        report = self.train(self.out)
        if report.finished and (left := report.finished.left_running):
            they = "1 process" if left == 1 else f"{left} processes"
            self.warnings.append(f"when the training had ended, {they} of it still ran and had to be ended")
        self.warnings += [f"not taken of what the training wrote: {one}" for one in report.passed_over]
        if report.problem is not None:
            raise training_fault(report.problem)
        read = (
            ""
            if report.files_read is None
            else f", {counted(len(report.files_read), 'file')} of the data read"
        )
        return f"ended well{_took(report.finished)}{read}"

    def train(
        self, out: Path, *, data: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> TrainingReport:
        """One run of the reference training in the rebuilt environment.

        Args:
            out: An empty folder.
            data: The ``data/`` of another version; by default this one's.
            variables: What the training gets beside its usual ones.
        """
        if self.environment_report is None or self._code is None:
            raise ValueError("the environment comes before the training")
        self.training_report = trainings.train(
            self.reference,
            self._code,
            data or self.checkout / "data",
            out,
            self._folder / "environment",
            interpreter=self.environment_report.interpreter,
            sandbox=self.settings.sandbox,
            dataset_name=self.entry.dataset,
            host_environment=self.settings.host_environment,
            progress=self.keep.progress,
            scratch=self._folder,
            variables=variables,
        )
        return self.training_report

    # ---- metric

    def metric(self) -> str:
        """What was observed meets the criteria that were committed before the run."""
        reference = self.reference
        criteria = [
            Criterion(name, expected.value, expected.tolerance, reference.baseline.get(name))
            for name, expected in reference.expect.items()
        ]
        if not criteria:
            raise LayerFailed(
                Fault(
                    f"{self._name} states no expected metrics, so there is nothing to hold the result against",
                    Actor.GIVER,
                    f"datakeep reference {self.entry.dataset} --measure 3",
                )
            )
        observed = self.training_report.metrics if self.training_report else {}
        self.comparisons = compare(criteria, observed)
        lines = tuple(str(comparison) for comparison in self.comparisons)
        failed = [comparison for comparison in self.comparisons if not comparison.passed]
        if failed:
            what = f"the training's result is not what was expected: {failed[0]}"
            next_step = f"compare data, code and environment with the giver's: datakeep show {self._name}"
            if failed[0].within:  # it came out as expected, and that is not worth anything
                what = f"the training is no better than a model that learned nothing: {failed[0]}"
                next_step = (
                    "mend the training, or state what it must reach: "
                    f"datakeep reference {self.entry.dataset} --measure 3"
                )
            raise LayerFailed(Fault(what, Actor.GIVER, next_step, lines))
        return "; ".join(lines)


def _took(finished: Finished | None) -> str:
    if finished is None:
        return ""
    peak = f", {size(finished.peak_rss_bytes)} peak" if finished.peak_rss_bytes else ""
    return f" in {finished.wall_s:.1f} s, {finished.cpu_s:.1f} s CPU{peak}"
