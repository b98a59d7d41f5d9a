"""What a million entries cost in memory is what their inventory costs, and no buffer that grows with them.

Counted, not timed: the most memory that any process of a run ever held, for ten thousand and for ten times as many
files, each step in a program of its own.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

FEW, MANY = 10_000, 100_000
#: Path, size and two digests are about 120 bytes in the inventory, and several times that as Python's own objects,
#: which fetching makes of it; a fixed share per entry, a sixth more than was measured last (docs/long-tests.md).
PER_ENTRY_BYTES = {"ingest": 700, "fetch": 1080, "rehash": 1010}
STEP = """
import resource, sys
from pathlib import Path
from datakeep.core.progress import Silent
from datakeep.formats.inventory import Inventory
from datakeep.store.fetch import fetch
from datakeep.store.ingest import ingest
from datakeep.store.opening import open_store
from datakeep.store.rehash import rehash
from datakeep.store.scan import scan

if __name__ == "__main__":
    step, place = sys.argv[1], Path(sys.argv[2])
    store = open_store("main", str(place / "store"))
    kept = place / "inventory.parquet"
    if step == "ingest":
        kept.write_bytes(ingest(scan([place / "source"]).files, [store], "orders", Silent()).to_bytes())
    else:
        inventory = Inventory.from_bytes(kept.read_bytes(), what="it")
        if step == "fetch":
            assert fetch(inventory, [store], "orders", place / "out", Silent()).unavailable == []
        else:
            assert rehash(place / "out", inventory, Silent()).is_whole
    print(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""


def make(place, files):
    from datakeep.store.opening import create_store

    for number in range(files):
        folder = place / "source" / f"{number // 1000:04}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"file-{number:07}.txt").write_text(str(number))
    create_store("main", str(place / "store"), keep="vision")
    (place / "step.py").write_text(STEP)


def peak_bytes(step, place):
    done = subprocess.run(
        [sys.executable, place / "step.py", step, place], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout) * 1024


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_memory_grows_by_no_more_than_a_fixed_share_per_entry(tmp_path):
    for files in (FEW, MANY):
        (tmp_path / str(files)).mkdir()
        make(tmp_path / str(files), files)
    for step, share_bytes in PER_ENTRY_BYTES.items():
        few, many = (peak_bytes(step, tmp_path / str(files)) for files in (FEW, MANY))
        assert many - few < share_bytes * (MANY - FEW), f"{step}: {few:,} and {many:,} bytes"
