"""``trend``: one fixed reference training on each version of a dataset; a drop is flagged, with what changed (L26).

Code, environment, command and parameters are those of the newest version; the data alone varies. Each version is
fetched afresh and re-hashed, and trained in the clean room, as ``verify`` does it. Nothing is recorded in the keep.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from datakeep.core.criteria import less_is_better
from datakeep.core.errors import DatakeepError, NoSpace, ProgramMissing, TrainingFault, UsageError
from datakeep.core.trend import judge, mean, spread
from datakeep.extract.baseline import trivial_baseline
from datakeep.workflows.blame import LayerFailed, no_reference
from datakeep.workflows.clean_room import CleanRoom
from datakeep.workflows.rooms import own_room
from datakeep.workflows.trained_before import Scored, TrainedBefore
from datakeep.workflows.trend_changes import changed_in, rows_of
from datakeep.workflows.trend_wanted import chosen_versions, require_likely, unreported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from datakeep.core.trend import Judged
    from datakeep.formats.manifest import ReferenceTraining
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.clean_room import Settings
    from datakeep.workflows.keep import Keep
    from datakeep.workflows.trend_changes import Changed

#: How often the newest version is trained to see the noise, where nothing else is asked for.
NOISE_RUNS = 3
#: What a repeated training may take its random state from; a first run has no such variable.
SEED_VARIABLE = "DATAKEEP_SEED"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for.

    Args:
        versions: ``v1,v3..v5``; by default all up to the one whose training is fixed.
        metric: By default the one that the manifest names, else the first that is expected or reported.
        repeat: How often each version is trained; by default once, and the newest :data:`NOISE_RUNS` times.
        lower_is_better: Overrules what the metric's name says.
        margin: What is never a drop, in the metric's unit.
    """

    versions: str | None = None
    metric: str | None = None
    repeat: int | None = None
    lower_is_better: bool | None = None
    margin: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One version.

    Attributes:
        entry: The version.
        rows: Rows of its tables, where known.
        runs: What each run scored, of the metric.
        trivial: What a model that learned nothing scores on it.
        same_as: An earlier version with the same content, whose result it shares.
        failed: Why it has no result.
        judged: Its value, the limit it was held against, and whether it is a drop.
        changed: Where it is a drop: what changed.
    """

    entry: VersionEntry
    rows: int | None
    runs: tuple[Decimal, ...]
    trivial: Decimal | None
    same_as: str | None
    failed: str | None
    judged: Judged
    changed: Changed | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """The answer.

    Attributes:
        reference: The version whose training was fixed.
        metric: What was compared.
        less_is_better: In which direction.
        rows: The versions, oldest first.
        noise: The largest spread of repeated runs; None where nothing was repeated.
        noise_runs: How many runs that was seen in.
        baseline: What the reference states a trivial model scores.
        trained: How many trainings were run now; the others were kept from before.
    """

    reference: VersionEntry
    metric: str
    less_is_better: bool
    rows: tuple[Row, ...]
    noise: Decimal | None
    noise_runs: int
    baseline: Decimal | None
    trained: int

    @property
    def drops(self) -> tuple[Row, ...]:
        """The versions that are flagged."""
        return tuple(row for row in self.rows if row.judged.is_drop)

    @property
    def is_well(self) -> bool:
        """No drop, and the newest version could be trained."""
        return not self.drops and self.rows[-1].failed is None


@dataclass(slots=True)
class _Result:
    """What the trainings of one content scored, or why there is none."""

    scored: list[Scored]
    failed: str | None = None

    @property
    def agrees(self) -> bool:
        """Two runs with different seeds gave exactly the same: there is no noise to be seen in more of them."""
        return len(self.scored) == 2 and self.scored[0].metrics == self.scored[1].metrics

    def of(self, metric: str) -> tuple[Decimal, ...]:
        """What each run scored, of those that reported it."""
        return tuple(scored.metrics[metric] for scored in self.scored if metric in scored.metrics)


def trend(
    keep: Keep, name: str, wanted: Wanted, *, settings: Settings, watch: Callable[[str], None]
) -> Trend:
    """The metric of one fixed training on each version.

    Args:
        keep: The keep.
        name: ``orders``, or ``orders@v3``: its training is fixed, and versions up to it are looked at.
        wanted: What is asked for.
        settings: How the clean room is run.
        watch: Is told each version when it has been trained, in words.

    Raises:
        UnknownName: There is no such dataset or version.
        IncompleteManifest: The version states no reference training.
        UsageError: The range or the metric makes no sense.
        TrainingFault: The environment cannot be rebuilt, or no version at all could be trained.
        NoSpace, ProgramMissing: This machine cannot do it. What was trained is kept.
    """
    last = keep.entry(name)
    reference = last.manifest_model().reference
    if reference is None:
        raise no_reference(keep, last)
    chosen = chosen_versions(keep, last, wanted.versions)
    with own_room(keep) as folder:
        trainer = _Trainer(keep, last, reference, settings, folder, wanted.metric)
        trainer.check_metric(chosen)
        results: dict[str, _Result] = {}
        for entry in chosen:
            if entry.content not in results:
                newest = entry.content == chosen[-1].content
                runs = wanted.repeat or (NOISE_RUNS if newest else 1)
                results[entry.content] = trainer.run(entry, runs)
            watch(_said(entry, results[entry.content], trainer.metric))
    return _answer(keep, last, reference, chosen, results, wanted, trainer)


def _meant(last: VersionEntry, reference: ReferenceTraining) -> list[str]:
    """The metrics that are meant where none is named, best first."""
    task = last.manifest_model().task
    return [*([task.metric] if task and task.metric else []), *reference.expect, *reference.baseline]


def _said(entry: VersionEntry, result: _Result, metric: str | None) -> str:
    if result.failed is not None:
        return f"{entry.version}: failed: {result.failed}"
    values = [scored.metrics.get(metric or "") for scored in result.scored]
    return f"{entry.version}: {metric} {', '.join(str(value) for value in values)}"


class _Trainer:
    """Runs the fixed training on one version after the other; the environment is rebuilt once, if at all."""

    def __init__(
        self,
        keep: Keep,
        last: VersionEntry,
        reference: ReferenceTraining,
        settings: Settings,
        folder: Path,
        metric: str | None,
    ) -> None:
        self._keep, self._last, self._settings, self._folder = keep, last, settings, folder
        self._before = TrainedBefore(keep, last, reference, settings.sandbox.kind)
        self._room: CleanRoom | None = None
        self._meant = _meant(last, reference)
        self.metric = metric
        self.trained = 0
        self._is_reported = False

    def run(self, entry: VersionEntry, runs: int) -> _Result:
        """The training on one version, ``runs`` times at most: two that agree exactly say that there is no noise."""
        result = _Result([])
        while (seed := len(result.scored)) < runs and not result.agrees:
            scored = self._before.get(entry.content, seed)
            if scored is None:
                self._train_rest(self._prepared(), entry, result, runs)
                break
            result.scored.append(scored)
            self._choose(scored.metrics)
        return result

    def check_metric(self, chosen: Sequence[VersionEntry]) -> None:
        """The metric that was named is one that the training reports, as far as that is known before it.

        Raises:
            UsageError: It is not.
        """
        if self.metric is None:
            return
        for entry in chosen:
            if scored := self._before.get(entry.content, 0):
                self._choose(scored.metrics)
                return
        require_likely(self.metric, self._meant, self._last)

    def _train_rest(self, room: CleanRoom, entry: VersionEntry, result: _Result, runs: int) -> None:
        """The runs that are not kept from before; each is kept as soon as it has ended."""
        place = self._folder / entry.version
        try:
            data = self._fetched(entry, place)
            while (seed := len(result.scored)) < runs and not result.agrees:
                scored = self._train(room, entry, data, place / f"out-{seed}", seed)
                self._before.put(entry.content, seed, scored)
                result.scored.append(scored)
                self._choose(scored.metrics)
        except LayerFailed as failure:
            result.failed = failure.fault.what
        except (NoSpace, ProgramMissing, UsageError):
            raise
        except DatakeepError as error:
            result.failed = error.what
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _prepared(self) -> CleanRoom:
        """The room of the version whose training is fixed, with its environment."""
        if self._room is None:
            folder = self._folder / "fixed"
            folder.mkdir()
            room = CleanRoom(self._keep, self._last, folder, self._settings)
            try:
                room.access()
                room.environment()
            except LayerFailed as failure:
                fault = failure.fault
                raise TrainingFault(fault.what, next_step=fault.next_step, things=fault.evidence) from failure
            self._room = room
        return self._room

    def _fetched(self, entry: VersionEntry, place: Path) -> Path:
        """The data of a version, every byte of it hashed."""
        place.mkdir(exist_ok=True)
        room = CleanRoom(self._keep, entry, place, self._settings)
        room.access()
        room.bytes()
        for warning in room.warnings:
            self._keep.progress.warn(warning)
        return room.checkout / "data"

    def _train(self, room: CleanRoom, entry: VersionEntry, data: Path, out: Path, seed: int) -> Scored:
        self._keep.progress.note(
            f"training on {entry.dataset}@{entry.version}" + (f", seed {seed}" if seed else "")
        )
        self.trained += 1
        report = room.train(out, data=data, variables={SEED_VARIABLE: str(seed)} if seed else {})
        shutil.rmtree(out, ignore_errors=True)
        if report.problem is not None:
            raise TrainingFault(report.problem.what, next_step=report.problem.next_step)
        return Scored(report.metrics, self._trivial(entry, data, report.metrics))

    def _choose(self, metrics: Mapping[str, Decimal]) -> None:
        """Where none was named: the first that is meant and reported, else the first that is reported.

        Raises:
            UsageError: The first result that there is has nothing of the metric that was named.
        """
        if self.metric is None:
            self.metric = next((name for name in self._meant if name in metrics), next(iter(metrics)))
        if not self._is_reported and self.metric not in metrics:
            raise unreported(self.metric, list(metrics), self._last)
        self._is_reported = True

    def _trivial(self, entry: VersionEntry, data: Path, metrics: Mapping[str, Decimal]) -> dict[str, Decimal]:
        task = self._last.manifest_model().task
        if not (task and task.target):
            return {}
        found: dict[str, Decimal] = {}
        for name in metrics:
            with suppress(DatakeepError):
                splits = manifest.splits.patterns if (manifest := entry.manifest_model()).splits else {}
                if (score := trivial_baseline(data, task.target, name, splits)) is not None:
                    found[name] = score
        return found


def _answer(
    keep: Keep,
    last: VersionEntry,
    reference: ReferenceTraining,
    chosen: Sequence[VersionEntry],
    results: Mapping[str, _Result],
    wanted: Wanted,
    trainer: _Trainer,
) -> Trend:
    reported = [name for result in results.values() for scored in result.scored for name in scored.metrics]
    if not reported:
        result = results[chosen[-1].content]
        raise TrainingFault(
            f"no version of {last.dataset} could be trained; {chosen[-1].version}: {result.failed}",
            next_step=f"datakeep verify {last.dataset}@{last.version} tells what is wrong, and who must act",
            things=[f"{entry.version}: {results[entry.content].failed}" for entry in chosen],
        )
    metric = trainer.metric or reported[0]
    falls = less_is_better(metric) if wanted.lower_is_better is None else wanted.lower_is_better
    runs = {content: result.of(metric) for content, result in results.items()}
    repeated = {content: found for content, found in runs.items() if len(found) > 1}
    widest = max(repeated.values(), key=spread, default=())
    noise = spread(widest) if widest else None
    expected = reference.expect.get(metric)
    judged = judge(
        [(entry.content, mean(found) if (found := runs[entry.content]) else None) for entry in chosen],
        noise=noise or Decimal(0),
        tolerance=expected.tolerance if expected else Decimal(0),
        margin=wanted.margin,
        less_is_better=falls,
    )
    rows = [
        _row(entry, results[entry.content], metric, chosen, one)
        for entry, one in zip(chosen, judged, strict=True)
    ]
    rows = [replace(row, changed=changed_in(keep, row.entry)) if row.judged.is_drop else row for row in rows]
    return Trend(
        last, metric, falls, tuple(rows), noise, len(widest), reference.baseline.get(metric), trainer.trained
    )


def _row(
    entry: VersionEntry, result: _Result, metric: str, chosen: Sequence[VersionEntry], judged: Judged
) -> Row:
    same = next((one.version for one in chosen if one.content == entry.content), entry.version)
    failed = result.failed
    if failed is None and judged.value is None:
        failed = f"it reports no {metric}"
    return Row(
        entry,
        rows_of(entry),
        result.of(metric),
        next((scored.trivial[metric] for scored in result.scored if metric in scored.trivial), None),
        same if same != entry.version else None,
        failed,
        judged,
    )
