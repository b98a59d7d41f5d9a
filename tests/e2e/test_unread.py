"""What is trusted without reading is said, and never hides a change that a person made."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from world import FACTS

if TYPE_CHECKING:
    from world import World

#: Files younger than the coarsest clock's tick are always read.
OLD_ENOUGH_S = 2.2


def test_status_and_update_say_what_they_did_not_read(world: World) -> None:
    folder = world.aiko.cwd / "readings"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.csv").write_text(f"id,value\n{number},1\n")
    time.sleep(OLD_ENOUGH_S)
    world.aiko.datakeep("register", "readings", folder, "--backend", "dvc", *FACTS, cwd=world.keep)
    place = world.aiko.cwd / "readings-checkout"
    world.aiko.datakeep("checkout", "readings", place, cwd=world.keep)
    time.sleep(OLD_ENOUGH_S)

    def status(*options: str, code: int = 0) -> dict:
        found = world.aiko.datakeep(
            "status", "readings", "--dir", place, "--json", *options, cwd=world.keep, code=code
        )
        return found.data

    assert status()["files_not_read"] == 0
    assert (status()["matching"], status()["files_not_read"]) == (5, 5)
    text = world.aiko.datakeep("status", "readings", "--dir", place, cwd=world.keep).out
    assert "5/5 unchanged since they were last hashed, not read again" in text
    assert status("--deep")["files_not_read"] == 0

    changed = place / "data" / "3.csv"
    before = changed.stat()
    changed.chmod(0o644)
    changed.write_text("id,value\n3,9\n")
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert status(code=3)["changed"] == ["3.csv"]

    (folder / "3.csv").write_text("id,value\n3,2\n")
    made = world.aiko.datakeep("update", "readings", folder, "-m", "corrected", "--json", cwd=world.keep).data
    assert (made["version"], made["files_not_read"]) == ("v2", 4)
