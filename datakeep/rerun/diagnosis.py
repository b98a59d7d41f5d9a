"""Why a training failed, for the person who must act: above all, what it took from its author's machine."""

from __future__ import annotations

import posixpath
import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from datakeep.core.sizes import size
from datakeep.rerun import memory
from datakeep.rerun.printed import last_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from datakeep.rerun.environment_faults import Acts
    from datakeep.rerun.interface import Finished
    from datakeep.rerun.trace import Trace

ProblemKind = Literal[
    "command-not-found", "crashed", "timed-out", "no-metrics", "bad-metrics", "no-model",
    "hidden-file", "hidden-variable", "hidden-network",
]  # fmt: skip

#: A peak of this part of the limit is near it: what other processes hold is not counted.
_NEAR_THE_LIMIT = 0.8
#: What is repeated is bounded throughout: one long line must not take time by its length squared.
_FILE_MISSED = re.compile(
    r"(?:No such file or directory|Permission denied|does not exist|Not a directory): ?"
    r"(?P<path>'[^'\n]{1,1024}'|\"[^\"\n]{1,1024}\")"
    r"|(?<![\w./~-])(?P<before>/[^\s'\":]{1,1024})['\"]?: (?:No such file or directory|Permission denied)"
)
_VARIABLE_MISSED = re.compile(
    r"(?:<frozen os>|os\.py)\", line \d+, in __getitem__\n(?:[ \t].*\n){0,9}KeyError: '(?P<name>[^'\n]{1,200})'"
)
_NETWORK_MISSED = re.compile(
    r"gaierror|Name or service not known|Temporary failure in name resolution|Network is unreachable"
    r"|Could not resolve host|No route to host"
)
#: In the clean room only a service of the author's own machine can refuse; all others are not reached at all.
_SERVICE_MISSED = re.compile(r"Connection refused|ECONNREFUSED")
_READ_ONLY = re.compile(r"Read-only file system: ?['\"]?(?P<path>[^'\"\n]{1,1024})")
#: Where people and programs keep keys and passwords; nothing of that belongs into a dataset.
_SECRET = re.compile(
    r"/\.(ssh|aws|gnupg|azure|kube|docker|password-store|mozilla|netrc|pypirc|npmrc|pgpass|git-credentials|\w+_history)"
    r"(/|$)|/\.config/(datakeep|gcloud|gh|git|rclone|op)(/|$)|/id_(rsa|dsa|ecdsa|ed25519)(\.|$)|\.(pem|key|p12|pfx)$"
    r"|/credentials(\.json)?$|^/etc/(shadow|gshadow|sudoers)"
)
#: Also looked into by libraries that mean no harm, so it counts only where it is what the training ended with.
_CONFIG = re.compile(r"/\.config(/|$)")
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_ASKS_FOR_VARIABLE = re.compile(r"(?:getenv|environ\.get)\(\s*['\"](?P<name>\w+)['\"]\s*\)")
_MAX_CODE_FILES = 500
_MAX_CODE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a training is no proof; a value, not an exception.

    Args:
        kind: Its stable name.
        what: One sentence.
        evidence: What was seen, one line each.
        next_step: What to do.
        acts: Who must.
    """

    kind: ProblemKind
    what: str
    evidence: tuple[str, ...]
    next_step: str
    acts: Acts = "giver"


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a training ran.

    Args:
        dataset: The dataset's name.
        code: Its code on this machine.
        cwd: Its working folder as it saw it.
        own: Folders as it saw them in which a miss is its own affair: output, environment.
        rooms: All folders that it was given, as it saw them.
        given: The variables that it was given.
        host: The variables of this machine, which it was not given.
        sandboxed: Whether this machine was hidden from it.
    """

    dataset: str
    code: Path
    cwd: str
    own: tuple[str, ...]
    rooms: tuple[str, ...]
    given: Mapping[str, str]
    host: Mapping[str, str]
    sandboxed: bool


def diagnose(finished: Finished, trace: Trace | None, timeout_s: int, scene: Scene) -> Problem | None:
    """Why the training did not come to a good end; None if it did."""
    if finished.succeeded:
        return None
    hidden = (
        _network_by_trace(finished, trace, scene) if finished.timed_out else _hidden(finished, trace, scene)
    )
    if hidden:
        return hidden
    return _timed_out(finished, timeout_s, scene) if finished.timed_out else _crashed(finished, scene)


def _hidden(finished: Finished, trace: Trace | None, scene: Scene) -> Problem | None:
    """The hidden input that it stumbled over: what it said last counts more than what strace saw."""
    said = finished.output_tail
    builders: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Problem | None]], ...] = (
        (_VARIABLE_MISSED, lambda found: _variable(found["name"], finished, scene)),
        (_NETWORK_MISSED, lambda _: _network(trace.connections if trace else (), finished, scene)),
        (_SERVICE_MISSED, lambda _: _network(trace.unanswered if trace else (), finished, scene)),
        (_FILE_MISSED, lambda found: _file_said(found, finished, scene)),
    )
    found = [(last, build) for pattern, build in builders if (last := _last(pattern.finditer(said)))]
    for last, build in sorted(found, key=lambda pair: pair[0].end(), reverse=True):
        problem = build(last)
        if problem:
            return problem
    missing = [path for path in trace.missing if not _below(path, scene.rooms)] if trace else []
    if missing:
        return _file(missing[-1], finished, scene, link=", after")
    return _network_by_trace(finished, trace, scene) or _variable_by_code(finished, scene)


def _last(found: Iterable[re.Match[str]]) -> re.Match[str] | None:
    last = None
    for last in found:  # noqa: B007  only the last is wanted
        pass
    return last


def _ended(finished: Finished) -> str:
    if finished.timed_out:
        return "was stopped at its time limit"
    if finished.signal is not None:
        return f"was ended by {signal.Signals(finished.signal).name}"
    return f"stopped with exit code {finished.exit_code}"


def _file_said(found: re.Match[str], finished: Finished, scene: Scene) -> Problem | None:
    named = (found["path"] or found["before"]).strip("'\"")
    path = posixpath.normpath(posixpath.join(scene.cwd, named))
    if _below(path, scene.own):
        return None
    if _CONFIG.search(path):
        return _secret(path, finished)
    return _file(path, finished, scene)


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _secret(path: str, finished: Finished, *, link: str = ":") -> Problem:
    return Problem(
        "hidden-file",
        f"the training {_ended(finished)}{link} it tried to read {path}, where people keep keys and passwords",
        last_lines(finished),
        "do not trust this training; ask the owner what it wants with it",
    )


def _file(path: str, finished: Finished, scene: Scene, *, link: str = ":") -> Problem:
    if _SECRET.search(path):
        return _secret(path, finished, link=link)
    return Problem(
        "hidden-file",
        f"the training {_ended(finished)}{link} it tried to read {path}, which is not part of the "
        "dataset or its code",
        last_lines(finished),
        f"have the owner add the file to the dataset (datakeep update {scene.dataset} SOURCE -m WHY) "
        f"or to the training's code (datakeep reference {scene.dataset} --code DIR)",
    )


def _variable(name: str, finished: Finished, scene: Scene) -> Problem:
    here = ", which is set on this machine but" if name in scene.host else ", which"
    return Problem(
        "hidden-variable",
        f"the training {_ended(finished)}: it needs the environment variable {name}{here} is not part of "
        "the dataset or its code",
        last_lines(finished),
        f"have the owner make it an argument of the command: datakeep reference {scene.dataset} --command TEXT",
    )


def _network(connections: tuple[str, ...], finished: Finished, scene: Scene) -> Problem:
    asked = f" ({', '.join(connections[:3])})" if connections else ""
    none_here = (
        "which a training in the clean room does not have" if scene.sandboxed else "and it did not answer"
    )
    return Problem(
        "hidden-network",
        f"the training {_ended(finished)}: it tried to reach the network{asked}, {none_here}",
        (*(f"asked for {connection}" for connection in connections[:10]), *last_lines(finished)),
        "have the owner put what it downloads into the dataset "
        f"(datakeep update {scene.dataset} SOURCE -m WHY) or its code "
        f"(datakeep reference {scene.dataset} --code DIR)",
    )


def _network_by_trace(finished: Finished, trace: Trace | None, scene: Scene) -> Problem | None:
    return _network(trace.connections, finished, scene) if trace and trace.connections else None


def _variable_by_code(finished: Finished, scene: Scene) -> Problem | None:
    """A variable that the code asks for without a default, that this machine has and the room has not."""
    for path in sorted(scene.code.rglob("*.py"))[:_MAX_CODE_FILES]:
        if path.is_symlink() or not path.is_file():
            continue
        with path.open(encoding="utf-8", errors="replace") as source:
            names = {found["name"] for found in _ASKS_FOR_VARIABLE.finditer(source.read(_MAX_CODE_BYTES))}
        wanted = sorted((names & scene.host.keys()) - scene.given.keys())
        if wanted:
            return _variable(wanted[0], finished, scene)
    return None


def _timed_out(finished: Finished, timeout_s: int, scene: Scene) -> Problem:
    return Problem(
        "timed-out",
        f"the training was still running after {timeout_s} s, its time limit, and was stopped",
        last_lines(finished),
        f"have the owner find out why it hangs, or allow it more time: "
        f"datakeep reference {scene.dataset} --timeout SECONDS",
    )


def _crashed(finished: Finished, scene: Scene) -> Problem:
    evidence = last_lines(finished)
    repair = f"have the owner repair it: datakeep reference {scene.dataset} --code DIR"
    refused = _last(_READ_ONLY.finditer(finished.output_tail))
    if refused:
        tried = f"it tried to write {refused['path']}, and only {{out}} can be written"
        return Problem("crashed", f"the training {_ended(finished)}: {tried}", evidence, repair)
    if _DISK_FULL.search(finished.output_tail):
        what = f"the training {_ended(finished)}: no space was left for what it writes"
        return Problem("crashed", what, evidence, "free space on this disk, then run it again", "receiver")
    if finished.signal == signal.SIGKILL:
        return _killed(finished, evidence)
    last = f": {evidence[-1].strip()}" if evidence else " and printed nothing"
    return Problem("crashed", f"the training {_ended(finished)}{last}", evidence, repair)


def _killed(finished: Finished, evidence: tuple[str, ...]) -> Problem:
    """By whom, nobody says; memory is named only where the numbers speak for it."""
    limit_bytes = memory.limit_bytes()
    near = limit_bytes is not None and finished.peak_rss_bytes >= _NEAR_THE_LIMIT * limit_bytes
    what = "the training was ended by SIGKILL"
    if finished.peak_rss_bytes:
        of = f" of the {size(limit_bytes)} here" if limit_bytes else ""
        what += f"; its largest process held {size(finished.peak_rss_bytes)}{of}"
    next_step = "find out who ended it (somebody here, or a limit of this machine), and run it again"
    if finished.kernel_lacked_memory or near:
        meanwhile = "the kernel ended processes for lack of memory" if finished.kernel_lacked_memory else ""
        what += f", and {meanwhile or 'memory probably ran out'}"
        next_step = "run it again on a machine with more memory"
    return Problem("crashed", what, evidence, next_step, "receiver")
