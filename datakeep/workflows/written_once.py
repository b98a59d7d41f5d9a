"""What was changed that is written once: register entries, model records and what lies beside them, proofs.

Git's history tells it: such a file must have the bytes with which it first came in. The history is looked through
once, and from then on only what is new of it; which files were ever changed is remembered under ``.datakeep/``. A
history that was rewritten tells nothing, but this clone remembers what it had before.
"""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import ne
from shlex import quote
from typing import TYPE_CHECKING, Any

from datakeep.core.changes import shorten
from datakeep.core.counts import counted
from datakeep.core.errors import DatakeepError
from datakeep.core.names import NAME, VERSION
from datakeep.core.secrets import find_secret
from datakeep.formats import yaml
from datakeep.repository import edits, working
from datakeep.repository.command import is_object_id
from datakeep.repository.edits import Step
from datakeep.repository.keep_tree import LIST_BYTES
from datakeep.store.hashing import open_regular
from datakeep.workflows.remembered import remember

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from datakeep.workflows.keep import Keep

_PREFIXES = ("register/", "models/", "proofs/")
_NAME, _VERSION = NAME.pattern, VERSION.pattern
_ONCE = re.compile(
    rf"register/{_NAME}/{_VERSION}\.yaml|models/{_NAME}/{_VERSION}(?:\.yaml|/.+)"
    rf"|proofs/{_NAME}/{_VERSION}/[^/]+\.dsse\.json"
)
_CACHE = "changed-records.json"
_FORMAT = 2
_SHOWN_FIELDS = 12
_SHOWN_CHARACTERS = 120
#: Of more changed files than this the rest is counted, not told one by one.
_MAX_TOLD = 200


@dataclass(frozen=True, slots=True)
class Tampered:
    """Something that says another thing than when it was recorded, or than what it must agree with.

    Attributes:
        path: The file in the keep.
        what: What is wrong with it, in one sentence.
        evidence: What was changed, a line each; by whom and when.
        next_step: What to type.
    """

    path: str
    what: str
    evidence: tuple[str, ...] = ()
    next_step: str | None = None


@dataclass(slots=True)
class _Known:
    """What is remembered: up to which commit the history was looked through, and what was changed in it.

    ``before`` has the files that another history of this clone, up to that commit, had with other bytes. ``ends`` has
    the commits that added a changed file and made it what it is, of those files that an answer asked for.
    """

    commit: str
    changed: set[str] = field(default_factory=set)
    before: dict[str, str] = field(default_factory=dict)
    ends: dict[str, tuple[Step, Step]] = field(default_factory=dict)

    @property
    def suspects(self) -> set[str]:
        """The files that may not be as they came in."""
        return self.changed | self.before.keys()


def tampered(keep: Keep, paths: Iterable[str] | None = None) -> tuple[Tampered, ...]:
    """Those of ``paths`` that were changed or deleted since they were recorded, in history or in this folder.

    Args:
        keep: The keep.
        paths: Files of the keep; None means all that are written once.

    Raises:
        GitFault: The history cannot be read.
    """
    head = keep.tree.commit
    if head is None:
        return ()
    known = _looked_through(keep, head)
    asked = None if paths is None else set(paths)
    wanted = known.suspects if asked is None else known.suspects & asked
    found = [*_edited(keep, head, sorted(wanted), known)]
    told = {one.path for one in found}
    folder = _in_folder(keep, None if asked is None else sorted(asked - told))
    return (*found, *folder)


def ever_changed(keep: Keep, *prefixes: str) -> set[str]:
    """The files below ``prefixes`` that were changed or deleted at any time; they may be as recorded again.

    Args:
        keep: The keep.
        prefixes: Beginnings of paths: ``models/``, ``register/orders/``.

    Raises:
        GitFault: The history cannot be read.
    """
    head = keep.tree.commit
    suspects = _looked_through(keep, head).suspects if head else set()
    return {path for path in suspects if path.startswith(prefixes)}


def changed_below(keep: Keep, *prefixes: str) -> tuple[Tampered, ...]:
    """As :func:`tampered`, of all below the folders ``prefixes`` that the history or this folder changed."""
    warn_of_a_short_history(keep)
    found = ever_changed(keep, *prefixes)
    found |= set(working.changed_files(keep.root, *prefixes)) if keep.tree.commit else set()
    return tampered(keep, found) if found else ()


def recorded(keep: Keep, paths: Iterable[str]) -> dict[str, bytes]:
    """What those of ``paths`` that were changed said when they came in, where that can be read."""
    head = keep.tree.commit
    if head is None:
        return {}
    known = _looked_through(keep, head)
    wanted = sorted(known.changed & set(paths))
    ends = _ends(keep, head, wanted, known)
    ids = {path: first.object_id for path, (first, _) in ends.items() if first.object_id}
    texts = keep.tree.read_objects(sorted(set(ids.values())), most=LIST_BYTES)
    return {path: texts[one] for path, one in ids.items() if one in texts}


def warn_of_a_short_history(keep: Keep) -> None:
    """A warning, if this clone lacks the beginning of the history, so that it cannot tell what was changed in it."""
    if edits.is_shallow(keep.root):
        keep.progress.warn(
            "whether a record was changed before this clone's history begins is not known: it is shallow "
            f"({_git(keep)} fetch --unshallow)"
        )


def _looked_through(keep: Keep, head: str) -> _Known:
    """Which files were ever changed, up to ``head``; only commits that are new to this clone are read."""
    known = _recall(keep)
    if known and known.commit == head:
        return known
    before = dict(known.before) if known else {}
    since = None
    if known:
        if edits.goes_on(keep.root, known.commit, head):
            since = known.commit
        else:
            lost = edits.differing(keep.root, known.commit, head, _PREFIXES)
            before |= {path: known.commit for path in lost if _ONCE.fullmatch(path)}
    changed = edits.changed_after_adding(keep.root, head, _PREFIXES, since=since)
    changed = {path for path in changed if _ONCE.fullmatch(path)}
    found = _Known(head, changed, before)
    if known and since:
        found.ends = {path: ends for path, ends in known.ends.items() if path not in changed}
        found.changed |= known.changed
    _remember(keep, found)
    return found


def _recall(keep: Keep) -> _Known | None:
    try:
        data: dict[str, Any] = json.loads(keep.cache(_CACHE).read_bytes())
        if data["format"] != _FORMAT:
            return None
        ends = {str(path): (_step(first), _step(last)) for path, (first, last) in data["ends"].items()}
        return _Known(str(data["commit"]), set(data["changed"]), dict(data["before"]), ends)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _step(kept: Sequence[Any]) -> Step:
    commit, seconds, name, email, object_id, added = kept
    ids = [str(one) for one in (commit, object_id) if one is not None]
    if not all(is_object_id(one) for one in ids):
        raise ValueError(kept)
    when = datetime.fromtimestamp(int(seconds), UTC)
    return Step(ids[0], when, str(name), str(email), object_id, added is True)


def _kept(step: Step) -> list[Any]:
    return [step.commit, int(step.when.timestamp()), step.name, step.email, step.object_id, step.added]


def _remember(keep: Keep, known: _Known) -> None:
    data = {
        "format": _FORMAT,
        "commit": known.commit,
        "changed": sorted(known.changed),
        "before": known.before,
        "ends": {path: [_kept(first), _kept(last)] for path, (first, last) in known.ends.items()},
    }
    remember(keep, _CACHE, data)


def _edited(keep: Keep, head: str, paths: Sequence[str], known: _Known) -> Iterator[Tampered]:
    """Those whose bytes are not those with which they came in."""
    now = {path: keep.tree.object_id(path) for path in paths[:_MAX_TOLD]}
    ends = _ends(keep, head, list(now), known)
    for path, there in now.items():
        first, last = ends.get(path, (None, None))
        if first and last and there != first.object_id and not _only_names_its_run(keep, path, first, there):
            yield _told(keep, path, first, last, there)
        elif path in known.before and (other := _as_before(keep, path, known.before[path], there)):
            yield other
    if len(paths) > _MAX_TOLD:
        more = len(paths) - _MAX_TOLD
        yield Tampered(paths[_MAX_TOLD], f"{more:,} more files that are written once were changed as well")


def _only_names_its_run(keep: Keep, path: str, first: Step, now: str | None) -> bool:
    """Whether a model record was only told its run in MLflow, which may be logged later: no answer hangs on it."""
    if not now or not first.object_id or not path.startswith("models/"):
        return False
    texts = keep.tree.read_objects([first.object_id, now], most=LIST_BYTES)
    try:
        old, new = (_fields(path, texts[one]) for one in (first.object_id, now))
    except (KeyError, DatakeepError, ValueError, TypeError, RecursionError):
        return False
    differing = _differing(old, new)
    return bool(differing) and all(
        name.startswith("tracked.") and old.get(name) is None for name in differing
    )


def _ends(keep: Keep, head: str, paths: Sequence[str], known: _Known) -> dict[str, tuple[Step, Step]]:
    """The commit that added each of ``paths``, and the one that made it what it is; git is asked once for each."""
    lacking = [path for path in paths if path in known.changed and path not in known.ends][:_MAX_TOLD]
    if lacking:
        for path, steps in edits.steps(keep.root, head, lacking).items():
            first = next((step for step in steps if step.added), None)
            if first:
                known.ends[path] = (first, _made_it(steps))
        _remember(keep, known)
    return {path: known.ends[path] for path in paths if path in known.ends}


def _made_it(steps: Sequence[Step]) -> Step:
    """The step from which on the file is what it is: a later merge repeats it for a branch that had not got it."""
    last = steps[-1]
    for step in reversed(steps):
        if step.object_id != last.object_id:
            break
        last = step
    return last


def _told(keep: Keep, path: str, first: Step, last: Step, now: str | None) -> Tampered:
    verb = "edited" if now else "deleted"
    evidence = [
        f"recorded by {_who(first)} in {first.commit[:12]}",
        f"{verb} by {_who(last)} in {last.commit[:12]}",
    ]
    if now and first.object_id:
        texts = keep.tree.read_objects([first.object_id, now], most=LIST_BYTES)
        evidence += _differences(path, texts.get(first.object_id), texts.get(now))
    return Tampered(
        path,
        f"{path} was {verb} after it was recorded",
        tuple(evidence),
        f"ask {last.name} why; the recorded one: {_git(keep)} checkout {first.commit[:12]} -- {quote(path)}",
    )


def _as_before(keep: Keep, path: str, commit: str, now: str | None) -> Tampered | None:
    """What this clone had, before the history of the keep was rewritten."""
    text = keep.repository.at(commit).read(path)
    there = keep.tree.read_objects([now], most=LIST_BYTES).get(now) if now else None
    if text == there:
        return None
    evidence = [f"this clone had it otherwise, up to {commit[:12]}"]
    evidence += _differences(path, text, there) if text and there else []
    return Tampered(
        path,
        f"{path} is {'another' if there else 'gone'} since the history of the keep was rewritten",
        tuple(evidence),
        f"ask who rewrote it; {_git(keep)} show {quote(f'{commit[:12]}:{path}')} shows the earlier one",
    )


def _git(keep: Keep) -> str:
    return f"git -C {quote(str(keep.root))}"


def _who(step: Step) -> str:
    return f"{step.name} <{step.email}> on {step.when:%Y-%m-%d}"


def _in_folder(keep: Keep, paths: Sequence[str] | None) -> Iterator[Tampered]:
    """Files of this clone's folder that are not as committed, where no answer comes from, but where people look."""
    if paths is None:
        paths = working.uncommitted(keep.root)
    committed = keep.tree.read_many(path for path in paths if _ONCE.fullmatch(path))
    for path, text in committed.items():
        there = _in_place(keep.root / path, 2 * len(text) + 1)  # twice as many with Windows' line ends
        if there is None:
            continue  # a checkout may leave files out
        if there == text or there.replace(b"\r\n", b"\n") == text.replace(b"\r\n", b"\n"):
            continue
        yield Tampered(
            path,
            f"{path} in this folder is not what is committed, which is what was answered from",
            tuple(_differences(path, text, there)),
            f"{_git(keep)} checkout HEAD -- {quote(path)} brings the committed one back",
        )


def _in_place(path: Path, most: int) -> bytes | None:
    """At most so many bytes of what lies there; of a link its target, as for git; of a pipe none."""
    try:
        if path.is_symlink():
            return os.fsencode(path.readlink())
        with open_regular(path) as file:
            return file.read(most)
    except OSError as error:
        return None if error.errno else b""


def _differences(path: str, before: bytes | None, after: bytes | None) -> list[str]:
    """The fields that differ, where both can be read; else that some bytes do."""
    if before is None or after is None:
        return ["what was changed is not known: its earlier bytes are not here"]
    try:
        old, new = _fields(path, before), _fields(path, after)
    except (DatakeepError, ValueError, TypeError, RecursionError):
        return [f"{_differing_bytes(before, after)}, and one of the two cannot be read"]
    names = _differing(old, new)
    if not names:
        return [f"{_differing_bytes(before, after)}, and both say the same"]
    lines = [f"{name}: {_shown(old, name)} → {_shown(new, name)}" for name in names[:_SHOWN_FIELDS]]
    more = len(names) - len(lines)
    return lines + ([f"… and {more:,} more"] if more else [])


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _differing_bytes(before: bytes, after: bytes) -> str:
    if len(before) != len(after):
        return f"it has {counted(len(after), 'byte')} where it had {counted(len(before), 'byte')}"
    return f"{counted(sum(map(ne, before, after)), 'byte')} of it differ"


def _fields(path: str, text: bytes) -> dict[str, Any]:
    """What a file says, by the name of each field; of a proof what was signed, of a list its lines."""
    if path.endswith(".yaml"):
        return dict(_leaves(yaml.load_plain(text, what=path)))
    if path.endswith(".json"):
        envelope = json.loads(text)
        payload = envelope.pop("payload")
        return dict(_leaves({**envelope, "payload": json.loads(base64.b64decode(payload, validate=True))}))
    return {
        f"line {number}": line for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1)
    }


def _leaves(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    children: Iterable[tuple[str, Any]] = ()
    if isinstance(data, dict):
        children = ((f"{name}.{key}" if name else str(key), child) for key, child in data.items())
    elif isinstance(data, list):
        children = ((f"{name}[{place}]", child) for place, child in enumerate(data))
    if not isinstance(data, dict | list) or not data:
        yield name, data
        return
    for inner, child in children:
        yield from _leaves(child, inner)


def _shown(side: Mapping[str, Any], name: str) -> str:
    if name not in side:
        return "(not there)"
    text = str(side[name])
    return "(not repeated here)" if find_secret(text) else shorten(text, _SHOWN_CHARACTERS)
