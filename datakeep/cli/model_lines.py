"""How a model record is put in words: after a run, and by an audit."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from datakeep.formats.model import GpuUse, ModelInput, ModelRecord, TrackedRun
    from datakeep.workflows.recording import Recorded

_SHOWN_UNDECLARED = 5
TRACKERS = {"mlflow": "MLflow", "wandb": "W&B"}


def record_lines(recorded: Recorded, root: Path) -> Iterator[str]:
    """What was recorded, in a few lines, and what to type next."""
    record = recorded.record
    status = f" FAILED ({record.failure})" if record.status == "failed" else ""
    where = f"is only in {recorded.file}: {recorded.not_pushed}" if recorded.file else "is recorded"
    yield f"model {recorded.label}{status} {where}"
    for given in record.inputs:
        yield f"  {given.dataset}@{given.version}: {read_in_words(given)}"
        if given.because:
            yield f"    {given.because}"
    if record.tracked:
        yield f"  {tracked_in_words(record.tracked)}"
        yield from _unmatched_lines(record)
    if record.undeclared_count:
        yield f"  undeclared inputs: {record.undeclared_count:,}"
        for entry in record.undeclared[:_SHOWN_UNDECLARED]:
            yield f"    ! {entry['path']}"
        if record.undeclared_count > _SHOWN_UNDECLARED:
            yield f"    … and {record.undeclared_count - _SHOWN_UNDECLARED:,} more, in the record"
    if record.observed and record.observed.by != "strace":
        yield f"  {observed_in_words(record)}"
    if record.code.dirty:
        yield "  the code has changes that are not committed" + (
            f"; they are not kept: {record.code.withheld}" if record.code.withheld else "; they are kept"
        )
    if recorded.file:
        yield (
            f"next: hand it in, or send it to someone who may push: datakeep record "
            f"--hand-in {shlex.quote(str(recorded.file))} -C {shlex.quote(str(root))}"
        )
    else:
        yield f"next: datakeep audit model:{recorded.label}"


def _unmatched_lines(record: ModelRecord) -> Iterator[str]:
    """What a tracker's run names, and the register does not have."""
    if record.origin in TRACKERS:
        for entry in record.undeclared[:_SHOWN_UNDECLARED]:
            yield f"    ! not in the register: {undeclared_in_words(entry)}"
        if len(record.undeclared) > _SHOWN_UNDECLARED:
            yield f"    … and {len(record.undeclared) - _SHOWN_UNDECLARED:,} more, in the record"
        if not (record.inputs or record.undeclared):
            yield "    ? it names no dataset; add what you know of it: --used NAME@V"


def tracked_in_words(tracked: TrackedRun) -> str:
    """Which run of which tracker it is."""
    name = f" ({tracked.name})" if tracked.name else ""
    of = f" of {tracked.experiment}" if tracked.experiment else ""
    at = f" at {tracked.url}" if tracked.url else ""
    further = f", and {counted(len(tracked.further), 'further run')}" if tracked.further else ""
    return f"{TRACKERS[tracked.tracker]} run {tracked.run}{name}{of}{at}{further}"


def undeclared_in_words(entry: dict[str, Any]) -> str:
    """One file that was read and belongs to no dataset that was given."""
    size_bytes = entry.get("size_bytes")
    parts = [counted(size_bytes, "byte")] if isinstance(size_bytes, int) else []
    parts += [f"sha256 {entry['sha256']}"] if "sha256" in entry else []
    parts += [f"in a checkout of {entry['of']}, which was not declared"] if "of" in entry else []
    parts += [f"named by {entry['named']}"] if "named" in entry else []
    keys = ("withheld", "unreadable", "changed", "digest", "guess")
    parts += [f"{key}: {entry[key]}" for key in keys if key in entry]
    return ", ".join([str(entry.get("path")), *parts])


def read_in_words(given: ModelInput) -> str:
    """How much of a dataset was read."""
    read = given.files_read
    if given.how == "declared":
        return "declared; nobody saw what was read"
    if read is None:
        return "which files were read is not known"
    if read.of is not None and read.count == read.of:
        count = f"all {counted(read.count, 'file')} read"
    elif not read.count:
        count = f"given, and nothing read of its {counted(read.of or 0, 'file')}"
    else:
        count = f"{read.count:,}" + (
            f" of {counted(read.of, 'file')} read" if read.of is not None else " files read"
        )
    splits = ", ".join(f"{name} {number:,}" for name, number in read.splits.items())
    return f"{count} ({splits})" if splits else count


def observed_in_words(record: ModelRecord) -> str:
    """How it is known what was read."""
    if record.origin == "declared":
        return f"declared by {record.recorded_by or 'somebody'}; nothing was observed"
    if record.origin in TRACKERS:
        who = f"{TRACKERS[record.origin]}, recorded by {record.recorded_by or 'somebody'}"
        return f"declared by {who}; nothing was observed"
    if record.observed is None:
        return "by its verification's own trace" if record.origin == "verification" else "not recorded"
    if record.observed.by == "strace":
        return "every file opened was seen (strace)"
    if record.observed.by == "audit-hook":
        return (
            f"seen by Python's audit hook, which sees less than strace ({record.observed.why}): what libraries "
            "open in C, and other programs, is missing"
        )
    return f"nothing was observed ({record.observed.why})"


def gpu_in_words(used: GpuUse) -> str:
    """How one GPU was used while the training ran."""
    peak = "unknown" if used.peak_memory_bytes is None else f"{used.peak_memory_bytes:,} bytes"
    before = "" if used.memory_before_bytes is None else f" ({used.memory_before_bytes:,} before it began)"
    busy = "unknown" if used.utilisation_percent is None else f"{used.utilisation_percent} %"
    looks = counted(used.samples, "look")
    name = f"{used.gpu} {used.name or ''}".rstrip()
    return f"{name}: peak memory {peak}{before}, busy {busy} in the mean of {looks}, whoever used it"
