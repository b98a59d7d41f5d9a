"""``audit --diff``: what differs between two models, so that it can be told what moved the metric (L23).

Several causes at once are said to be several. What is not known of one of them may have been changed too: it is said,
and never counted as the same.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from datakeep.core.changes import shorten
from datakeep.core.errors import DatakeepError
from datakeep.core.secrets import WITHHELD
from datakeep.workflows.data_diff import DatasetChange, dataset_changes
from datakeep.workflows.recorded_models import record_named
from datakeep.workflows.recording import PACKAGES, is_packages
from datakeep.workflows.told_alike import are_alike, same_command
from datakeep.workflows.undeclared_diff import code_files, undeclared_code, undeclared_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from datakeep.formats.model import ModelRecord
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.undeclared_diff import Found

_NAMED_PACKAGES = 10
_METRICS_FILE = "metrics.json"
#: What two trainings that are the same must be known to have had alike.
_ESSENTIAL = ("data", "code", "parameters")


@dataclass(slots=True)
class Section:
    """One of the things that may have been changed.

    Attributes:
        name: ``data``, ``code``, …
        changed: What was, one line each; none if nothing was, as far as it is known.
        same: What was not, where that is worth a line.
        unknown: What is known of one of the models only, or cannot be compared.
        nowhere: What is known of neither.
        details: For machines.
    """

    name: str
    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    nowhere: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def compare(self, what: str, old: Any, new: Any) -> None:
        """Take in one fact; None is not known."""
        if old is None and new is None:
            self.nowhere.append(what)
        elif old is None or new is None:
            self.unknown.append(f"{what}: {_shown(old)} → {_shown(new)}")
        elif old != new:
            self.changed.append(f"{what}: {_shown(old)} → {_shown(new)}")
        if old != new:
            self.details[what] = {"old": old, "new": new}

    def take(self, found: Found) -> None:
        """Take in what was found of files."""
        self.changed += found.changed
        self.same += found.same
        self.unknown += found.unknown


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of both; ``difference`` is None where one has none, or they are no numbers."""

    name: str
    old: str | None
    new: str | None
    difference: Decimal | None

    @property
    def is_same(self) -> bool:
        """Whether both have the same number."""
        return self.old == self.new or self.difference == 0


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """The answer: what may have been changed, in reading order; metrics and model files are what came of it.

    ``files`` names those files of the models that are not the same; ``also`` the other records of the old and of the
    new file, where a file was named.
    """

    old: ModelRecord
    new: ModelRecord
    datasets: tuple[DatasetChange, ...]
    sections: tuple[Section, ...]
    metrics: tuple[Metric, ...]
    files: tuple[str, ...] = ()
    also: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def causes(self) -> tuple[str, ...]:
        """The names of what was changed."""
        return tuple(section.name for section in self.sections if section.changed)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What may have been changed and cannot be compared."""
        return tuple(line for section in self.sections for line in section.unknown)

    @property
    def nowhere(self) -> tuple[str, ...]:
        """What neither record knows."""
        return tuple(line for section in self.sections for line in section.nowhere)

    @property
    def differs(self) -> bool:
        """Whether something is known to differ: what was changed, or what came of it."""
        return bool(self.causes or self.files or not all(metric.is_same for metric in self.metrics))

    @property
    def is_one_record(self) -> bool:
        """Whether both are one and the same record, of which nothing needs to be compared."""
        return self.old.label == self.new.label

    @property
    def is_same(self) -> bool:
        """Whether all that matters is known of both, and is the same."""
        return not self.differs and not self.unknown and not self.untold

    @property
    def untold(self) -> tuple[str, ...]:
        """Of what neither record knows, what may well have made a difference."""
        return tuple(
            line for section in self.sections if section.name in _ESSENTIAL for line in section.nowhere
        )


def audit_diff(keep: Keep, old: str, new: str, *, fetch: bool = False) -> ModelDiff:
    """What differs between two models.

    Args:
        keep: The keep.
        old: ``churn@v6``, or a model's file.
        new: Likewise.
        fetch: Get file lists and tables that are not on this machine.

    Raises:
        UnknownName, InvalidFile: There is no such model, or its record cannot be read.
    """
    (before, also_before), (after, also_after) = record_named(keep, old), record_named(keep, new)
    datasets = dataset_changes(keep, before, after, fetch=fetch)
    sections = (
        _data(before, after, datasets),
        _bases(before, after),
        _code(before, after),
        *_parameters(before, after),
        _environment(keep, before, after),
    )
    metrics = tuple(_metrics(before, after))
    return ModelDiff(
        before, after, datasets, sections, metrics, tuple(_files(before, after)), (also_before, also_after)
    )


def _shown(value: Any) -> str:
    return "not known" if value is None else shorten(value)


def _data(old: ModelRecord, new: ModelRecord, datasets: tuple[DatasetChange, ...]) -> Section:
    section = Section("data", details={"datasets": [one.to_dict() for one in datasets]})
    for one in datasets:
        section.changed += one.changed
        section.same += one.same
        section.unknown += one.unknown
    section.take(undeclared_data(old, new))
    blind = [one.label for one in (old, new) if not one.is_seen]
    if blind:
        where = section.nowhere if len(blind) == 2 else section.unknown
        by = {one.observed.by if one.observed else None for one in (old, new) if not one.is_seen}
        watchers = {"audit-hook": "an audit hook", "strace": "strace"}
        partly = " and ".join(watchers[one] for one in sorted(map(str, by)) if one in watchers)
        seen = f"{partly} saw a part of it" if by <= watchers.keys() else "nobody saw it"
        where.append(f"what else {' and '.join(blind)} read: {seen}")
    lacking = [one.label for one in (old, new) if not one.inputs]
    if lacking:
        (section.nowhere if len(lacking) == 2 else section.unknown).append(
            f"the datasets of {' and '.join(lacking)}: none is recorded"
        )
    return section


def _bases(old: ModelRecord, new: ModelRecord) -> Section:
    section = Section("base models")
    if sorted(old.base_models) != sorted(new.base_models):
        section.compare("base models", *(", ".join(sorted(one.base_models)) or "none" for one in (old, new)))
    return section


def _code(old: ModelRecord, new: ModelRecord) -> Section:
    section = Section("code")
    before, after = old.code, new.code
    if before.path and after.path and not (before.commit or after.commit):
        section.take(code_files(old, new))
    else:
        # A commit without an origin is told by its id, and one that both have is the same from wherever it came.
        if not before.commit or (before.commit != after.commit and (before.url or after.url)):
            section.compare("repository", before.url, after.url)
        section.compare("commit", *(one.commit and one.commit[:12] for one in (before, after)))
        section.compare("path", before.path, after.path)
    dirty = [one.dirty or ("none" if one.commit else None) for one in (before, after)]
    if dirty[0] != dirty[1] and None not in dirty:
        section.compare("changes that were not committed", *(_uncommitted(one) for one in (old, new)))
    section.take(undeclared_code(old, new))
    if section.changed or section.unknown or not before.commit or before.commit != after.commit:
        return section
    section.same.append(
        f"commit {before.commit[:12]}" + (f", with {_uncommitted(old)}" if before.dirty else "")
    )
    return section


def _uncommitted(record: ModelRecord) -> str:
    code = record.code
    if not code.dirty:
        return "none"
    if code.diff:
        return f"models/{record.model}/{record.version}/{code.diff}"
    return f"{code.dirty[:19]}… ({code.withheld or 'not kept'})"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Parameters by name, those in parts too, as the seeds among them are named."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def _parameters(old: ModelRecord, new: ModelRecord) -> tuple[Section, Section]:
    """The parameters, and the seeds among them, which are told apart from them."""
    parameters, seeds = Section("parameters"), Section("seeds")
    names = {*old.seeds, *new.seeds}
    before, after = (
        {name: value for name, value in _flat(one.parameters) if name not in names} for one in (old, new)
    )
    alike = are_alike(old, new)
    hidden = [name for name in sorted(before) if WITHHELD in before[name] and WITHHELD in after.get(name, "")]
    parameters.unknown += [f"{name}: withheld of both" for name in hidden]
    told = [bool(one.command or one.parameters) for one in (old, new)]
    for name in sorted({*before, *after}) if all(told) else ():
        if not alike(before.get(name), after.get(name)):
            shown = [one.get(name, "not set") for one in (before, after)]
            parameters.changed.append(f"{name}: {shorten(shown[0])} → {shorten(shown[1])}")
            parameters.details[name] = {"old": before.get(name), "new": after.get(name)}
    for name in sorted(names):
        seeds.compare(name, old.seeds.get(name), new.seeds.get(name))
    if not names:
        seeds.nowhere.append("seeds")
    if not all(told):
        where = parameters.unknown if any(told) else parameters.nowhere
        where.append(f"parameters and command of {' and '.join(_untold(told, old, new))}")
    elif not (parameters.changed or seeds.changed or same_command(old, new)):
        parameters.compare("command", " ".join(old.command), " ".join(new.command))
    elif not hidden and all(any(WITHHELD in word for word in one.command) for one in (old, new)):
        parameters.unknown.append("what is withheld in the commands of both")
    return parameters, seeds


def _untold(told: list[bool], *records: ModelRecord) -> list[str]:
    return [one.label for one, known in zip(records, told, strict=True) if not known]


def _environment(keep: Keep, old: ModelRecord, new: ModelRecord) -> Section:
    section = Section("environment")
    before, after = old.environment, new.environment
    for what in ("python", "platform", "cpu", "gpu", "cuda"):
        section.compare(what, getattr(before, what), getattr(after, what))
    # A run writes down those that are set; of another record none is not "none set".
    if (old.observed is None) != (new.observed is None):
        section.unknown.append("variables that change what is computed")
    for name in sorted({*before.variables, *after.variables}) if old.observed and new.observed else ():
        values = [one.variables.get(name, "not set") for one in (before, after)]
        if values[0] != values[1]:
            section.compare(name, *values)
    packages = [_packages(keep, one) for one in (old, new)]
    if packages[0] is not None and packages[1] is not None:
        _package_changes(section, packages[0], packages[1])
    elif None not in (before.packages, after.packages):
        if before.packages != after.packages:
            counts = [f"{one.package_count or 0:,}" for one in (before, after)]
            section.changed.append(f"packages: {counts[0]} → {counts[1]}; which, the keep does not tell")
    else:
        section.compare("lock", before.lock, after.lock)
        section.compare("packages", *(_count_of(one) for one in (old, new)))
    shipped = [_shipped(one) for one in (old, new)]
    what = "data read from the environment"
    if shipped[0] != shipped[1] and (old.misses_reads or new.misses_reads):
        section.unknown.append(f"{what}: {_shown(shipped[0])} → {_shown(shipped[1])}, as far as was seen")
    elif any(shipped):
        section.compare(what, *shipped)
    return section


def _count_of(record: ModelRecord) -> str | None:
    """What is told of packages where their lists cannot be compared."""
    environment = record.environment
    return f"{environment.package_count:,}" if environment.packages and environment.package_count else None


def _shipped(record: ModelRecord) -> str | None:
    """The files of data that came with software and were read, in words; None if nobody looked."""
    environment = record.environment
    if environment.data_read is None:
        return None
    more = (environment.data_read_count or 0) - len(environment.data_read)
    return ", ".join(environment.data_read) + (f" and {more:,} more" if more > 0 else "") or "none"


def _package_changes(section: Section, old: dict[str, str], new: dict[str, str]) -> None:
    lines = [f"+ {name} {new[name]}" for name in sorted(new.keys() - old.keys())]
    lines += [f"- {name} {old[name]}" for name in sorted(old.keys() - new.keys())]
    lines += [
        f"~ {name} {old[name]} → {new[name]}"
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    ]
    section.details["packages"] = lines
    if not lines:
        section.same.append(f"{len(new):,} packages")
        return
    more = f" and {len(lines) - _NAMED_PACKAGES:,} more" if len(lines) > _NAMED_PACKAGES else ""
    section.changed.append(f"packages: {', '.join(lines[:_NAMED_PACKAGES])}{more}")


def _packages(keep: Keep, record: ModelRecord) -> dict[str, str] | None:
    """Package to version, by the list beside the record, or the lock of a verification; None if neither is here."""
    beside = keep.tree.read(f"models/{record.model}/{record.version}/{PACKAGES}")
    if beside is not None and is_packages(beside, record):
        pairs = (line.partition("==") for line in beside.decode("utf-8", "replace").splitlines())
        return {name: version for name, _, version in pairs}
    return _locked(keep, record) if record.origin == "verification" else None


def _locked(keep: Keep, record: ModelRecord) -> dict[str, str] | None:
    """What the uv lock in the dataset's repository names, if it is here and is the one of the record."""
    from datakeep.core.digests import sha256_id

    try:
        given = record.inputs[0]
        entry = keep.entry(f"{given.dataset}@{given.version}", asking=False)
        reference = entry.manifest_model().reference
        path = reference.environment.lock if reference else None
        if path is None:
            return None
        found = keep.dataset_repository(entry.dataset).read_here([(entry.commit, path)])
        text = found.get((entry.commit, path), b"")
        if sha256_id(text) != record.environment.lock:
            return None
        packages = tomllib.loads(text.decode("utf-8")).get("package", [])
        return {str(one["name"]): str(one.get("version", "")) for one in packages}
    except (DatakeepError, IndexError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _metrics(old: ModelRecord, new: ModelRecord) -> Iterator[Metric]:
    for name in sorted({*old.metrics, *new.metrics}):
        before, after = old.metrics.get(name), new.metrics.get(name)
        yield Metric(name, before, after, _difference(before, after))


def _files(old: ModelRecord, new: ModelRecord) -> Iterator[str]:
    """The files of the models that differ; those of metrics are told apart, and where one has none, nothing is."""
    before, after = ({one.path: one.sha256 for one in record.artifacts} for record in (old, new))
    if not before or not after:
        return
    known = {*before.values()} & {*after.values()}
    for path in sorted(before.keys() | after.keys()):
        digests = {files[path] for files in (before, after) if path in files}
        if path.rpartition("/")[2] != _METRICS_FILE and (len(digests) > 1 or not digests <= known):
            yield path


def _difference(old: str | None, new: str | None) -> Decimal | None:
    try:
        found = Decimal(new or "") - Decimal(old or "")
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
