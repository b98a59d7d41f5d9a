"""When each object of each store was last read and found whole, so that a budget goes on where it stopped.

A cache under ``.datakeep/``: it orders the work of ``fsck --budget`` and says how far a round has come. A
round ends when every object of every store was read; then the next begins.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from datakeep.store.checking import Checked, Expected

_SCHEMA = pa.schema([("name", pa.string()), ("read_at", pa.float64())])


class CheckedBefore:
    """One file per store and dataset in ``folder``; a damaged or missing one means that nothing was read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._round: dict[tuple[str, str], dict[str, float]] = {}

    def not_yet(self, store: str, dataset: str, objects: Sequence[Expected]) -> list[Expected]:
        """Those of ``objects`` that were not read in this round, in a lasting order."""
        read = self._read(store, dataset)
        return sorted((item for item in objects if item.name not in read), key=lambda item: item.name)

    def note(self, store: str, dataset: str, found: Checked, present: Mapping[str, int]) -> None:
        """Remember what was read now; forget what is gone or was found bad."""
        read = self._read(store, dataset)
        read.update(dict.fromkeys(found.whole, time.time()))
        kept = {name: at for name, at in read.items() if name in present and name not in found.wrong}
        self._round[store, dataset] = kept
        self._write(store, dataset, kept)

    def end_round(self) -> None:
        """Everything was read: the next run begins a new round."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def whole_in_this_round(self, store: str, dataset: str, names: set[str]) -> set[str]:
        """Those of ``names`` that an earlier run of this round read and found whole."""
        return names & self._round.get((store, dataset), {}).keys()

    def _path(self, store: str, dataset: str) -> Path:
        return self._folder / store / f"{dataset}.parquet"

    def _read(self, store: str, dataset: str) -> dict[str, float]:
        try:
            table = pq.read_table(self._path(store, dataset), schema=_SCHEMA)
        except (OSError, pa.ArrowException):
            return {}
        return dict(zip(table["name"].to_pylist(), table["read_at"].to_pylist(), strict=True))

    def _write(self, store: str, dataset: str, read: Mapping[str, float]) -> None:
        path = self._path(store, dataset)
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table(
            [pa.array(read.keys(), pa.string()), pa.array(read.values(), pa.float64())], schema=_SCHEMA
        )
        temporary = path.with_suffix(".new")
        pq.write_table(table, temporary)
        temporary.replace(path)
