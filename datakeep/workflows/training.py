"""``datakeep.training``: the record of ``datakeep run``, from within a notebook or a script.

strace cannot be put around a program that runs already, so Python's audit hook watches: in this process, in
those that it forks, and in every Python that is started in the block. The record says so, and that it sees less.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from datakeep.core.errors import DatakeepError, SourceMissing, SourceUnreadable, UsageError
from datakeep.core.names import check_name
from datakeep.core.secrets import withheld
from datakeep.formats.model import Artifact, Observation
from datakeep.formats.yaml import showable_path
from datakeep.repository.code import work_tree
from datakeep.repository.identity import identity
from datakeep.rerun import audit_hook, injected, reads
from datakeep.rerun.clock import file_time_s
from datakeep.rerun.gpu_use import Sampler
from datakeep.store.hashing import hash_file
from datakeep.tracking import mlflow_server
from datakeep.workflows.keep import open_keep
from datakeep.workflows.observing import only_read, stream, with_streams
from datakeep.workflows.out_folder import after_interruption, out_folder
from datakeep.workflows.recording import publish_or_keep
from datakeep.workflows.rooms import own_room
from datakeep.workflows.run import (
    OUT_VARIABLE,
    base_records,
    given_data,
    own_code,
    script_here,
    variables_of,
)
from datakeep.workflows.run_record import Script, Seen, record_of, resources_of
from datakeep.workflows.tracked import Mark, begin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from datakeep.core.progress import Progress
    from datakeep.formats.model import ModelRecord
    from datakeep.rerun.audit_hook import Watch
    from datakeep.workflows.given_data import Given
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.recording import Recorded
    from datakeep.workflows.tracked import Tracking

_WHY = "strace cannot be put around a program that runs already"
_BEFORE = "files that the program had read before the training's block began"
_FAILURE_CHARACTERS = 200
_MANY = 1000
_open_ones: list[str] = []


class Printed:
    """Reports to the standard error output, a line for each thing that should be seen."""

    def stage(self, name: str, *, total: int | None = None, unit: str = "files") -> None:
        """A line, where it will take a while."""
        if total is not None and total >= _MANY:
            sys.stderr.write(f"datakeep: {name}: {total:,} {unit}\n")

    def advance(self, count: int = 1, *, size_bytes: int = 0) -> None:
        """Not shown."""

    def note(self, text: str) -> None:
        """A line."""
        sys.stderr.write(f"datakeep: {text}\n")

    def warn(self, text: str) -> None:
        """A line."""
        sys.stderr.write(f"datakeep: warning: {text}\n")

    def recorded(self) -> None:
        """Not shown."""


class Training:
    """A training that is being recorded; made by :func:`datakeep.training`, whose page has the example.

    Attributes:
        out: The folder whose files at the end of the block are in the record (absolute); None if none was named.
        recorded: After the block, where the record is: ``t.recorded.label`` is ``churn@v7``.
    """

    def __init__(
        self,
        model: str,
        keep: str | os.PathLike[str],
        base: str | Sequence[str],
        progress: Progress | None,
        out: str | os.PathLike[str] | None = None,
        mlflow: str | bool | None = None,
    ) -> None:
        _require_no_other()  # before anything is read: that would be taken for the other's reading
        check_name(model, what="model")
        self._model = model
        self._keep = open_keep(Path(keep), progress or Printed())
        self._who = identity(self._keep.root)
        self._keep.require_not_departed(self._who, datetime.now(UTC))
        self._bases: list[ModelRecord] = base_records(self._keep, [base] if isinstance(base, str) else base)
        self._given: dict[str, Given] = {}
        self._metrics: dict[str, str] = {}
        self._no_measurements: dict[str, str] = {}
        self._artifacts: dict[Path, Artifact] = {}
        self._held = ExitStack()
        self._watch: Watch | None = None
        self._sampler = Sampler()
        self._variables: dict[str, str] = {}
        self._restore: Callable[[], None] = lambda: None
        self._began_s = self._cpu_s = 0.0
        self.out = out_folder(Path(out) if out is not None else None)
        self._place = self.out and self.out.resolve()
        self._mlflow = mlflow
        self._observed = Observation(by="audit-hook", why=_WHY)
        self._mark = Mark(os.environ)
        self._tracking: Tracking | None = None
        self._refused: DatakeepError | None = None
        self._process_id = os.getpid()
        self.recorded: Recorded | None = None

    def __enter__(self) -> Self:
        _require_no_other()
        self._tracking = self._begin_tracking()
        room = self._held.enter_context(own_room(self._keep)).resolve()
        _open_ones.append(self._model)
        self._held.callback(_open_ones.clear)
        self._held.callback(_restored(self._mark.variables))
        self._variables["PYTHONPATH"] = injected.inject(os.environ, room)["PYTHONPATH"]
        if self.out:
            self._variables[OUT_VARIABLE] = str(self.out)
        self._folder = room
        self._held.enter_context(self._sampler)
        if piped := stream():
            self._observed = self._observed.model_copy(update={"standard_input": piped})
        self._began_s, self._cpu_s = file_time_s(), _cpu_s()
        self._watch = audit_hook.install(str(room))
        if self._sampler.thread_id is not None:
            self._watch.busy.add(self._sampler.thread_id)  # what that thread opens is ours
        self._set()
        return self

    def _begin_tracking(self) -> Tracking | None:
        uri = self._mlflow if isinstance(self._mlflow, str) else None
        return begin(self._keep, os.environ, self._mark, uri=uri, off=self._mlflow is False)

    @contextmanager
    def _unwatched(self) -> Iterator[None]:
        """What datakeep itself opens is not the training's."""
        if self._watch is None or _open_ones != [self._model]:
            raise UsageError(
                "the training's block is not open", next_step="with datakeep.training(…) as t: …"
            )
        self._watch.active = False
        self._restore()
        try:
            yield
        finally:
            self._watch.active = True
            self._set()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What is raised here is no failure of the training, as long as that has left nothing."""
        try:
            yield
        except DatakeepError as error:
            if not (self._metrics or self._no_measurements or self._artifacts):
                self._refused = error
            raise

    def _set(self) -> None:
        """What programs that are started in the block are told."""
        self._restore = _restored(self._variables)

    def use(self, dataset: str) -> Path:
        """The folder with the files of a dataset version: every byte verified, read-only.

        Args:
            dataset: ``orders@v3``; ``orders`` means the newest version.

        Returns:
            The absolute path of its ``data/`` folder. The files lie in it as they were registered.

        Raises:
            UnknownName: The keep has no such dataset or version.
            UsageError: Another version of the dataset is in use, or the block is not open.
            DamagedBytes: A file is whole in no store.
            StoreUnreachable, AccessDenied, NoSpace: The data cannot be had, or not be put here.
        """
        with self._unwatched(), self._faults():
            if not isinstance(dataset, str):
                raise UsageError(
                    f"a dataset is named by text, not by {type(dataset).__name__}",
                    next_step="t.use('orders@v3')",
                )
            label = self._keep.resolve(dataset)
            known = self._given.get(label.name)
            if known is not None and known.entry.version != label.version:
                raise UsageError(
                    f"{known.label} is in use, so {label} cannot be", next_step="use one version of a dataset"
                )
            if known is None:
                known = self._given[label.name] = given_data(self._keep, [str(label)])[0]
                self._variables |= variables_of([known])
            return known.data

    def log(self, **metrics: float) -> None:
        """What was measured goes into the record; of a name that is logged again, the last value counts.

        Args:
            metrics: Scalars by name (shape ``()``), in whatever unit; exact decimals are kept of ``int``, ``str``
                and ``Decimal``, the shortest that means the same number of ``float`` and NumPy's. One that is NaN or
                infinite is *not known* in the record, and no earlier number stands for it.

        Raises:
            UsageError: A value is no number; then none of the call's counts.
        """
        numbers = {name: _plain_number(value) for name, value in metrics.items()}
        for name, number in numbers.items():
            if number is None:
                with self._faults():
                    raise _no_number(name, metrics[name])
        for name, number in numbers.items():
            is_one = number is not None and number.is_finite()
            mine, other = (
                (self._metrics, self._no_measurements) if is_one else (self._no_measurements, self._metrics)
            )
            mine[name] = str(number)
            other.pop(name, None)

    def save(self, file: str | os.PathLike[str]) -> None:
        """A file is one that the training left: its size and sha256, as they are now, go into the record.

        Args:
            file: The file, which stays where it is. ``datakeep audit FILE`` finds the record by its bytes.

        Raises:
            SourceMissing, SourceUnreadable: There is no such file, or it cannot be read.
        """
        with self._unwatched():
            path = Path(os.path.realpath(file))  # of a loop of links, hashing says that it is none
            here = Path.cwd().resolve()
            name = path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name
            try:
                size_bytes, _, sha256 = hash_file(path)
            except FileNotFoundError as error:
                raise SourceMissing(f"there is no file {file}", next_step="save it before t.save") from error
            except OSError as error:
                what = f"{file} is no file that can be read ({error.strerror or error})"
                raise SourceUnreadable(what, next_step="name the model's file itself") from error
            if any(one.path == showable_path(name) for of, one in self._artifacts.items() if of != path):
                name = str(path)  # another file of this name lies somewhere else
            self._artifacts[path] = Artifact(
                path=showable_path(name), sha256=sha256.hex(), size_bytes=size_bytes
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._process_id:
            return  # a process that was forked in the block ends; the training is still open in the other
        if self._watch is not None:
            self._watch.active = False
        self._restore()
        with self._held:
            if isinstance(error, KeyboardInterrupt | GeneratorExit):
                self._keep.progress.note(f"interrupted; nothing was recorded: {after_interruption(self.out)}")
                return
            if error is not None and error is self._refused:
                self._keep.progress.note(f"nothing was recorded: {self._refused.what}")
                return
            try:
                self._record(_failure(error))
            except DatakeepError as fault:
                if error is None or _failure(error) is None:
                    raise
                error.add_note(f"datakeep: this failed training was not recorded: {fault.what}")

    def _record(self, failure: str | None) -> None:
        record, beside = record_of(self._keep, self._seen(failure), self._who.email)
        record = record.model_copy(update={"unknown": [*record.unknown, _BEFORE]})
        tracking = self._tracking or self._begin_tracking()
        if tracking:
            record = tracking.named(record, open_run=mlflow_server.active_run_id())
        self.recorded = publish_or_keep(self._keep, record, beside, self._who)
        if tracking:
            tracking.log(self.recorded)
        where = f"only in {self.recorded.file}" if self.recorded.file else "recorded"
        status = f" failed ({failure})" if failure else ""
        self._keep.progress.note(f"model {self.recorded.label}{status} is {where}")

    def _seen(self, failure: str | None) -> Seen:
        found = only_read(reads.from_hook(self._folder), self._began_s)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return Seen(
            model=self._model,
            argv=_argv(),
            script=_script(self._keep),
            given=list(self._given.values()),
            base_files={base.label: {one.sha256 for one in base.artifacts} for base in self._bases},
            out=self._place,
            own=(str(self._folder), *own_code()),
            environment=os.environ,
            observed=with_streams(self._observed, found),
            read=replace(found, paths=tuple(sorted({*found.paths, *_modules()}))),
            began_s=self._began_s,
            failure=failure,
            exit_code=None,
            resources=resources_of(
                wall_s=time.time() - self._began_s,
                cpu_s=_cpu_s() - self._cpu_s,
                peak_rss_bytes=peak,
                gpus=self._sampler.used,
            ),
            logged=self._metrics,
            logged_none=self._no_measurements,
            artifacts=[*self._artifacts.values()],
        )


def _require_no_other() -> None:
    """Nothing is recorded of two trainings at once.

    Raises:
        UsageError: The block of one is open.
    """
    if _open_ones:
        raise UsageError(
            f"the training of {_open_ones[0]} is still open, and what is read could be of either",
            next_step="end its block first",
        )


def _restored(variables: Mapping[str, str]) -> Callable[[], None]:
    """Sets variables of this process; what puts them back."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)

    def restore() -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return restore


def _plain_number(value: Any) -> Decimal | None:
    """A scalar as it was given, finite or not; None if it is none."""
    plain = value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value
    if isinstance(plain, bool) or not isinstance(plain, int | float | str | Decimal):
        return None
    try:
        return Decimal(str(plain))
    except InvalidOperation:
        return None


def _no_number(name: str, value: Any) -> UsageError:
    return UsageError(
        f"the metric {name} is {str(value)[:60]}, not a number",
        next_step=f"log a number: t.log({name}=0.93)",
    )


def _cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _argv() -> list[str]:
    if "ipykernel" in sys.modules:
        return [sys.executable]
    return [sys.executable, *(sys.orig_argv[1:] if sys.argv[:1] == ["-c"] else sys.argv)]


def _script(keep: Keep) -> Script:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if file and Path(file).is_file() and "ipykernel" not in sys.modules:
        path = Path(file).resolve()
        return Script(path.parent, path, work_tree(path.parent))
    return script_here(keep)


def _modules() -> set[str]:
    """The files of all modules that are loaded: code and packages, whenever they were read."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return {os.path.realpath(file) for file in files if isinstance(file, str)}


def _failure(error: BaseException | None) -> str | None:
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return None
    return withheld(f"{type(error).__name__}: {error}"[: 2 * _FAILURE_CHARACTERS])[:_FAILURE_CHARACTERS]
