"""A model record in words, for whoever shows one: a terminal, or a page."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from datakeep.core.counts import counted, few
from datakeep.core.moments import shown
from datakeep.formats.read_order import read_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.formats.model import GpuUse, ModelInput, ModelRecord, TrackedRun

_SHOWN_UNDECLARED = 20
SHOWN_CONNECTIONS = 5
#: What writes runs down that are taken over as records, by the record's ``origin``.
TRACKERS = {"mlflow": "MLflow", "wandb": "W&B"}


def missed(*records: ModelRecord) -> str:
    """What is said where a file was not seen to be read by one of ``records``, and that is no "no"."""
    blind = [one for one in records if one.misses_reads and one.observed]
    if blind and all(one.observed and one.observed.by == "strace" for one in blind):
        return "as far as was seen and could be written down"
    return "as far as was seen; what libraries read in C, as Arrow and DuckDB do, was not"


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
    parts += [str(entry["differs"])] if "differs" in entry else []
    parts += [f"the file of {entry['model']}, a base model that was not declared"] if "model" in entry else []
    parts += [f"a file that {entry['left_by']} left"] if "left_by" in entry else []
    parts += [f"named by {entry['named']}"] if "named" in entry else []
    keys = ("withheld", "unreadable", "gone", "moved", "changed", "digest", "guess")
    parts += [f"{key}: {entry[key]}" for key in keys if key in entry]
    return ", ".join([str(entry.get("path")), *parts])


def read_in_words(given: ModelInput, record: ModelRecord | None = None) -> str:
    """How much of a dataset was read; ``record`` is the one that says so, by which it is known who watched."""
    said = _read(given)
    if record is not None and (order := read_order(record, given)):
        said += f"; {order}"
    if record is None or given.files_read is None or record.knows_files_of(given):
        return said
    return f"{said}, {missed(record)}"


def _read(given: ModelInput) -> str:
    read = given.files_read
    if given.how == "declared":
        return "declared; nobody saw what was read"
    if read is None:
        return "which files were read is not known"
    if read.of is not None and read.count == read.of:
        count = f"all {counted(read.count, 'file')} read" if read.count != 1 else "its 1 file read"
    elif not read.count:
        count = f"given, and nothing read of its {counted(read.of or 0, 'file')}"
    else:
        count = (
            f"{counted(read.count, 'file')} read"
            if read.of is None
            else f"{read.count:,} of {counted(read.of, 'file')} read"
        )
    splits = ", ".join(f"{name} {number:,}" for name, number in read.splits.items())
    return f"{count} ({splits})" if splits else count


def stream_in_words(record: ModelRecord) -> str | None:
    """That data may have come in without a file that was opened here; None where none can have."""
    if record.observed is None:
        return None
    stream, pipes = record.observed.standard_input, record.observed.pipes
    said = [f"standard input was a {stream}: what was read of it is not known"] if stream else []
    said += (
        [f"named pipes were opened ({', '.join(pipes)}): what was read of them is not known"] if pipes else []
    )
    if called := record.observed.connections:
        said.append(
            f"connections were opened or tried ({few(called, SHOWN_CONNECTIONS)}): what came over them is not known"
        )
    return "; ".join(said) or None


def observed_in_words(record: ModelRecord) -> str:
    """How it is known what was read."""
    if record.origin == "declared":
        return f"declared by {record.recorded_by or 'somebody'}; nothing was observed"
    if record.origin in TRACKERS:
        who = f"{TRACKERS[record.origin]}, recorded by {record.recorded_by or 'somebody'}"
        return f"declared by {who}; nothing was observed"
    if record.observed is None:
        return "by its verification's own trace" if record.origin == "verification" else "not recorded"
    if record.observed.by == "strace" and record.observed.why:
        return f"a part of what was opened is known: strace watched, and {record.observed.why}"
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


def _dirty(record: ModelRecord) -> str:
    """Where the changes of the code are that were not committed."""
    code = record.code
    if code.diff:
        return f"models/{record.model}/{record.version}/{code.diff}"
    return code.withheld or str(code.dirty)


def _origin_rows(record: ModelRecord) -> Iterator[tuple[str, str]]:
    """How it ended, and how it is known what it read."""
    if record.status == "failed":
        yield "status", f"FAILED ({record.failure or 'reason unknown'})"
    yield "known", "; ".join(filter(None, (observed_in_words(record), stream_in_words(record))))


def _undeclared_rows(record: ModelRecord) -> Iterator[tuple[str, str]]:
    what = "not registered" if record.origin in TRACKERS else "read undeclared"
    for undeclared in record.undeclared[:_SHOWN_UNDECLARED]:
        yield what, undeclared_in_words(undeclared)
    count = max(record.undeclared_count or 0, len(record.undeclared))
    if count > _SHOWN_UNDECLARED:
        yield (
            what,
            f"… and {count - _SHOWN_UNDECLARED:,} more (--json has those that are listed)",
        )


def _environment_row(record: ModelRecord) -> str:
    environment = record.environment
    lock = f"{environment.kind}, lock {environment.lock or 'unknown'}"
    python = f"python {environment.python or 'unknown'}, platform {environment.platform or 'unknown'}"
    cuda = f" with CUDA {environment.cuda}" if environment.cuda else ""
    packages = (
        f", {environment.package_count:,} packages ({environment.packages})" if environment.packages else ""
    )
    variables = f", {pairs(environment.variables)}" if environment.variables else ""
    return f"{lock}, {python}, GPU {environment.gpu or 'unknown'}{cuda}{packages}{variables}"


def model_rows(record: ModelRecord) -> Iterator[tuple[str, str]]:
    """A record as two columns, a label and its text, gaps included; some labels come several times."""
    yield from _origin_rows(record)
    for artifact in record.artifacts:
        yield "file", f"{artifact.path}, {counted(artifact.size_bytes, 'byte')}, sha256 {artifact.sha256}"
    code = record.code
    dirty = f", with changes that were not committed ({_dirty(record)})" if code.dirty else ""
    yield (
        "code",
        f"{code.url or 'repository unknown'} at {code.commit or 'commit unknown'} {code.path or ''}{dirty}".rstrip(),
    )
    yield "command", shlex.join(record.command) if record.command else "unknown"
    yield "parameters", pairs(record.parameters) or "none recorded"
    yield "metrics", pairs(record.metrics) or "none recorded"
    yield "seeds", pairs(record.seeds) or "none recorded"
    yield "environment", _environment_row(record)
    resources = record.resources
    peak = "unknown" if resources.peak_rss_bytes is None else f"{resources.peak_rss_bytes:,} bytes"
    wall, cpu = (f"{took} s" if took else "unknown" for took in (resources.wall_s, resources.cpu_s))
    yield "resources", f"time {wall}, CPU {cpu}, peak memory {peak}"
    yield from (("GPU use", gpu_in_words(used)) for used in resources.gpus or ())
    yield (
        "recorded",
        f"{shown(record.recorded_at or 'unknown')} by {record.recorded_by or 'unknown'} ({record.origin})"
        + (f", handed in by {record.handed_in_by}" if record.handed_in_by else ""),
    )
    if record.proof:
        yield "proof", record.proof
    if record.tracked:
        yield "tracked", tracked_in_words(record.tracked)
    for base in record.unread_bases:
        yield "base model", f"{base}, because --base said so; no file of it was read"
    yield from _undeclared_rows(record)
    shipped = record.environment.data_read or []
    yield from (("read from the environment", one) for one in shipped[:_SHOWN_UNDECLARED])
    count = max(record.environment.data_read_count or 0, len(shipped))
    if count > _SHOWN_UNDECLARED:
        yield "read from the environment", f"… and {count - _SHOWN_UNDECLARED:,} more files of data"


def pairs(values: dict[str, Any]) -> str:
    """``rate 0.1, depth 3``."""
    return ", ".join(f"{key} {value}" for key, value in values.items())
