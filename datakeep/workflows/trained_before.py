"""What the trainings of ``trend`` scored, kept so that a second trend trains only what is new.

The key of a result is all that it follows from: code, environment, interpreter, command, sandbox, the content id of
the data and the seed. The files are a cache like any other below ``.datakeep/``.
"""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from datakeep.rerun.interpreter import find
from datakeep.store.faults import folder_faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datakeep.formats.manifest import ReferenceTraining
    from datakeep.formats.version import VersionEntry
    from datakeep.workflows.keep import Keep

_FORMAT = "datakeep trend 1"


@dataclass(frozen=True, slots=True)
class Scored:
    """What one training scored.

    Attributes:
        metrics: All that it reported.
        trivial: What a model that learned nothing scores on the same data, by metric; where that is known.
    """

    metrics: Mapping[str, Decimal]
    trivial: Mapping[str, Decimal]


class TrainedBefore:
    """The results of one fixed training.

    Args:
        keep: The keep.
        entry: The version whose reference training is fixed.
        reference: That training.
        sandbox: The kind of sandbox.
    """

    def __init__(self, keep: Keep, entry: VersionEntry, reference: ReferenceTraining, sandbox: str) -> None:
        self._folder = keep.cache("trend")
        self._fixed = [
            _FORMAT,
            entry.dataset,
            _code_of(keep, entry, reference),
            reference.environment.to_dict(),
            find(reference.environment.python).version,
            platform.machine(),
            reference.argv(),
            reference.metrics,
            sandbox,
        ]

    def _file(self, content: str, seed: int) -> Any:
        text = json.dumps([*self._fixed, content, seed], sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode('utf-8')).hexdigest()}.json"

    def get(self, content: str, seed: int) -> Scored | None:
        """The result on this data with this seed (0: none was set); None if it is not kept."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, InvalidOperation):
            data = json.loads(self._file(content, seed).read_bytes())
            return Scored(_numbers(data["metrics"]), _numbers(data["trivial"]))
        return None

    def put(self, content: str, seed: int, scored: Scored) -> None:
        """Keep a result.

        Raises:
            NoSpace, AccessDenied: The keep's cache cannot be written.
        """
        data = {
            "metrics": {name: str(value) for name, value in scored.metrics.items()},
            "trivial": {name: str(value) for name, value in scored.trivial.items()},
        }
        file = self._file(content, seed)
        partial = file.with_suffix(".part")
        with folder_faults(self._folder, "write to it"):
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(data), "utf-8")
            partial.replace(file)


def _numbers(data: Mapping[str, str]) -> dict[str, Decimal]:
    found = {name: Decimal(text) for name, text in data.items()}
    if not all(value.is_finite() for value in found.values()):
        raise ValueError("not finite")
    return found


def _code_of(keep: Keep, entry: VersionEntry, reference: ReferenceTraining) -> Any:
    """What says that two trainings run the same code with the same lock."""
    if not isinstance(reference.code, str):
        return reference.code.to_dict()
    repository = keep.dataset_repository(entry.dataset)
    if entry.commit not in repository.tags().values():
        repository.fetch()
    environment = reference.environment
    named = {environment.lock, environment.requirements}
    prefix = f"{reference.code.rstrip('/')}/"
    files = [
        [found.path, found.object_id]
        for found in repository.entries(entry.commit)
        if found.path.startswith(prefix) or found.path in named
    ]
    return files if any(path.startswith(prefix) for path, _ in files) else repository.tree_id(entry.commit)
