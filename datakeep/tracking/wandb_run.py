"""A run folder of Weights & Biases: ``wandb/offline-run-…/``, or ``wandb/run-…/`` of a run that was online.

Offline, all is in the ``.wandb`` file until it is synchronised; runs that were online, and older versions, also
leave ``files/wandb-metadata.json``, which is read for what the ``.wandb`` file does not say.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from datakeep.core.arguments import without_secrets
from datakeep.core.secrets import strip_url
from datakeep.tracking.faults import DamagedRun
from datakeep.tracking.told import (
    MAX_DATA,
    MAX_NAMED,
    NamedData,
    NamedFile,
    Told,
    clipped,
    more,
    parameters_of,
    texts_of,
    value_of,
)
from datakeep.tracking.wandb_log import CutOff, Damaged, Empty, Message, records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Numbers of fields in wandb_internal.proto.
_SUMMARY, _CONFIG, _ARTIFACT, _RUN, _EXIT, _USED, _ENVIRONMENT = 3, 5, 8, 17, 18, 25, 26
_MAX_TEXT_BYTES = 4 << 20
_HASH_BYTES = 16
_MAX_NAMES = 20


def read_run(folder: Path) -> Told:
    """What a run folder tells.

    Args:
        folder: ``wandb/offline-run-…``, or a link to one, such as ``wandb/latest-run``.

    Raises:
        DamagedRun: It is no run folder, or its ``.wandb`` file cannot be read.
    """
    log = _log_of(folder)
    reader = _Reader()
    try:
        with log.open("rb") as file:
            for record in records(file):
                reader.take(record)
    except CutOff:
        reader.told.unknown.append(f"the end of the run: {log.name} ends in the middle of a record")
    except Empty as error:
        raise DamagedRun(
            f"{log} is empty: the run was ended before it wrote anything, or its folder was not copied whole",
            next_step="copy the run folder again from the machine it was made on; or record what you know of it: "
            "datakeep record MODEL FILE --used DATASET@V",
        ) from error
    except Damaged as error:
        raise DamagedRun(
            f"{log} is damaged: {error}",
            next_step="copy the run folder again from the machine it was made on",
        ) from error
    except OSError as error:
        raise DamagedRun(
            f"{log} cannot be read ({error.strerror or error})", next_step="make it readable"
        ) from error
    return reader.finished(folder)


def _log_of(folder: Path) -> Path:
    again = "name the run's folder: datakeep record MODEL FILE --from-wandb wandb/offline-run-…"
    if not folder.is_dir():
        said = "is no folder" if folder.exists() else "does not exist"
        raise DamagedRun(f"{folder} {said}", next_step=again)
    logs = sorted(folder.glob("*.wandb"))
    if len(logs) == 1:
        return logs[0]
    runs = sorted(one.name for one in folder.glob("*run-*") if one.is_dir() and not one.is_symlink())
    if runs:
        raise DamagedRun(
            f"{folder} is no run folder itself; it has {', '.join(runs[:5])}{', …' if len(runs) > 5 else ''}",
            next_step=f"name one of them: --from-wandb {folder / runs[-1]}",
        )
    raise DamagedRun(
        f"{folder} is no run folder of W&B: it has {'several' if logs else 'no'} .wandb files",
        next_step=again,
    )


class _Reader:
    """Takes record after record; of config and summary, the last word on a name counts."""

    def __init__(self) -> None:
        self.told = Told("wandb", "")
        self._config: dict[str, Any] = {}
        self._summary: dict[str, Any] = {}
        self._environment: list[Message] = []
        self._named = 0

    def take(self, record: bytes) -> None:
        """One record; steps of the history and what was printed are passed over unread."""
        message = Message(record)
        for number, read in (
            (_SUMMARY, lambda part: _apply(self._summary, part)),
            (_CONFIG, lambda part: _apply(self._config, part)),
            (_ARTIFACT, self._take_artifact),
            (_RUN, self._take_run),
            (_EXIT, self._take_exit),
            (_USED, self._take_used),
            (_ENVIRONMENT, self._environment.append),
        ):
            if number in message:
                read(message.part(number))

    def _take_run(self, run: Message) -> None:
        told = self.told
        told.run = clipped(run.text(1) or "")
        told.name = _clipped(run.text(8))
        told.experiment = _clipped("/".join(part for part in (run.text(2), run.text(3)) if part))
        _apply(self._config, run.part(4))
        _apply(self._summary, run.part(5))
        self._take_git(run.part(21))

    def _take_git(self, git: Message) -> None:
        self.told.code_url = self.told.code_url or _clipped(git.text(1) and strip_url(str(git.text(1))))
        self.told.code_commit = self.told.code_commit or _clipped(git.text(2))

    def _take_exit(self, ended: Message) -> None:
        code = ended.number(1) or 0
        self.told.completed, self.told.exit_code = code == 0, code if code < 1 << 31 else code - (1 << 64)
        self.told.failure = f"exit code {self.told.exit_code}" if code else None

    def _take_used(self, used: Message) -> None:
        name = clipped(used.text(3) or "an artifact without a name")
        said = f"used {clipped(used.text(2) or '')} artifact".replace("  ", " ")
        self._add(NamedData(name=name, said=said, kind="artifact"))

    def _take_artifact(self, artifact: Message) -> None:
        """A model is what the run left; what it stored as a dataset is what it was made of, or made as well."""
        kind, name = artifact.text(4) or "unknown", clipped(artifact.text(5) or "an artifact without a name")
        files, places = self._manifest(artifact.part(12), name)
        if kind == "model":
            self.told.files += files[: MAX_NAMED - len(self.told.files)]
        elif kind == "dataset":
            said, digest = "stored dataset artifact", _clipped(artifact.text(6))
            doubt = f"whether {name} went into the model: the run stored it, and a run can store what it made"
            self._add(NamedData(name, said, "artifact", digest, places, files=tuple(files), doubt=doubt))

    def _manifest(self, manifest: Message, name: str) -> tuple[list[NamedFile], tuple[str, ...]]:
        files, places = [], []
        for entry in manifest.parts(4):
            reference = entry.text(3)
            if reference:
                places.append(clipped(reference))
            files.append(NamedFile(clipped(entry.text(1) or ""), _md5(entry.text(2)), entry.number(4)))
        if manifest.text(5) and not files:
            self.told.unknown.append(f"the files of the artifact {name}, whose list lies elsewhere")
        return files, tuple(places[:MAX_NAMED])

    def _add(self, data: NamedData) -> None:
        self._named += not data.in_passing
        if len(self.told.data) < MAX_DATA:
            self.told.data.append(data)

    def finished(self, folder: Path) -> Told:
        """All of it, with what the folder's other files add."""
        told = self.told
        if not told.run:
            raise DamagedRun(
                f"{folder} tells of no run: its .wandb file names none",
                next_step="name another run folder: its run ended before it began",
            )
        told.parameters = parameters_of(
            {name: self._config[name] for name in self._config if name != "_wandb"}
        )
        told.metrics = dict(_numbers(self._summary))
        runtime = self._summary.get("_runtime")
        told.wall_s = float(runtime) if isinstance(runtime, int | float) and runtime > 0 else None
        for environment in self._environment:
            self._take_environment(environment)
        self._take_metadata(folder / "files" / "wandb-metadata.json")
        told.packages = _packages(folder / "files" / "requirements.txt")
        for name, value in told.parameters.items():
            self._in_passing(f"config {name}", texts_of(value))
        self._in_passing("the command", told.command)
        more(told.unknown, "parameters", len(self._config))
        more(told.unknown, "datasets that it names", self._named, MAX_DATA)
        if told.completed is None:
            told.unknown.append("how the run ended: it recorded no end")
        return told

    def _in_passing(self, said: str, texts: list[str]) -> None:
        if places := tuple(text for text in texts if "/" in text):
            self._add(NamedData(said, said, places=places, in_passing=True))

    def _take_environment(self, environment: Message) -> None:
        told = self.told
        told.platform = told.platform or _clipped(environment.text(1))
        told.python = told.python or _python(environment.text(2))
        told.command = told.command or _command(environment.text(6), environment.texts(5))
        told.code_path = told.code_path or _clipped(environment.text(7))
        told.gpu = told.gpu or _clipped(environment.text(18))
        told.cpu = told.cpu or _clipped(environment.part(22).text(3))
        told.cuda = told.cuda or _clipped(environment.text(25))
        self._take_git(environment.part(9))

    def _take_metadata(self, file: Path) -> None:
        """What runs of other versions say there, and not in the log."""
        said = _json_object(_text(file))
        told, git = self.told, said.get("git")
        git = git if isinstance(git, dict) else {}
        program, arguments = said.get("program"), said.get("args")
        told.platform = told.platform or _clipped(said.get("os"))
        told.python = told.python or _python(said.get("python"))
        told.command = told.command or _command(program, arguments if isinstance(arguments, list) else [])
        told.code_path = told.code_path or _clipped(said.get("codePath"))
        told.gpu = told.gpu or _clipped(said.get("gpu"))
        told.code_url = told.code_url or _clipped(git.get("remote") and strip_url(str(git["remote"])))
        told.code_commit = told.code_commit or _clipped(git.get("commit"))


def _clipped(value: Any) -> str | None:
    return clipped(value) if isinstance(value, str) and value else None


def _python(said: Any) -> str | None:
    return _clipped(said.removeprefix("CPython ")) if isinstance(said, str) else None


def _command(program: Any, arguments: list[Any]) -> list[str]:
    if not isinstance(program, str) or not program:
        return []
    return without_secrets(
        [clipped(one) for one in [program, *arguments[:MAX_NAMED]] if isinstance(one, str)]
    )


def _apply(values: dict[str, Any], change: Message) -> None:
    """Updates and removals of a config or a summary."""
    for item in change.parts(1):
        with suppress(ValueError, RecursionError):
            names = _names(item)
            _put(values, names, value_of(names[-1] if names else "", json.loads(item.text(16) or "null")))
    for item in change.parts(2):
        _put(values, _names(item), None, remove=True)


def _names(item: Message) -> list[str]:
    key = item.text(1)
    return [key] if key else item.texts(2)[:_MAX_NAMES]


def _put(values: dict[str, Any], names: list[str], value: Any, *, remove: bool = False) -> None:
    if not names:
        return
    for name in names[:-1]:
        inner = values.setdefault(name, {})
        if not isinstance(inner, dict):
            inner = values[name] = {}
        values = inner
    if remove:
        values.pop(names[-1], None)
    else:
        values[names[-1]] = value


def _numbers(summary: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """The finite numbers; what W&B adds of its own (``_step``, ``_runtime``) is none that was measured."""
    for name, value in [*summary.items()][:MAX_NAMED]:
        if not before and name.startswith("_"):
            continue
        if isinstance(value, dict):
            yield from _numbers(value, f"{before}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield clipped(f"{before}{name}"), str(value)


def _md5(digest: str | None) -> str | None:
    """W&B has the md5 of a file in base64."""
    try:
        data = base64.b64decode(digest or "", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data.hex() if len(data) == _HASH_BYTES else None


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_TEXT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _json_object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _packages(file: Path) -> tuple[str, ...]:
    return tuple(sorted(line.strip() for line in _text(file).splitlines() if "==" in line))
