"""Two updates at once: the second one says truly what became of it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest

from datakeep.core.errors import Conflict
from datakeep.core.progress import Silent
from datakeep.repository.identity import Identity
from datakeep.workflows.keep import open_keep
from datakeep.workflows.register import Request
from datakeep.workflows.update import update

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
AIKO = Identity("Aiko Tanaka", "aiko@corp.example")
KEN = Identity("Ken Sato", "ken@corp.example")


def clone(bench):
    """A second clone of the keep, open."""
    folder = bench.folder / "other"
    url = bench.folder / "keep.vault" / "git" / "keeps" / "keep.git"
    subprocess.run(["git", "clone", "-q", url, folder], check=True)
    return open_keep(folder, Silent())


def updated(keep, source, who, *, why="more", meanwhile=lambda changes: None):
    """An update that is held up by ``meanwhile``: between its preparation and its push."""
    request = Request(name="orders", sources=[source], given={})
    return update(keep, request, message=why, review=meanwhile, who=who, now=NOW)


@pytest.mark.parametrize("backend", ["git", "dvc"])
@pytest.mark.parametrize("who", [AIKO, KEN])
@pytest.mark.parametrize("apart", [False, True])
def test_the_same_twice_is_one_version_and_the_second_says_whose(bench, backend, who, apart):
    bench.register(backend=backend)
    (bench.source / "a.txt").write_text("beta")
    mine = clone(bench) if apart else open_keep(bench.keep.root, Silent())
    first = []
    done = updated(
        mine, bench.source, who, why="mine",
        meanwhile=lambda changes: first.append(updated(bench.keep, bench.source, AIKO, why="first")),
    )  # fmt: skip
    assert first[0].created
    assert not first[0].meanwhile
    assert (done.created, done.meanwhile) == (False, True)
    assert done.entry.version == "v2"
    assert (done.entry.registered_by, done.entry.message) == (AIKO.email, "first")
    assert open_keep(bench.keep.root, Silent()).versions("orders") == ["v1", "v2"]


@pytest.mark.parametrize("apart", [False, True])
def test_other_contents_at_the_same_time_are_refused(bench, apart):
    bench.register()
    other = bench.folder / "more"
    other.mkdir()
    (other / "b.txt").write_text("b")
    (bench.source / "a.txt").write_text("beta")
    mine = clone(bench) if apart else open_keep(bench.keep.root, Silent())
    with pytest.raises(Conflict, match=r"orders@v2 was registered at the same time by aiko@"):
        updated(
            mine, bench.source, KEN, meanwhile=lambda changes: updated(bench.keep, other, AIKO, why="first")
        )
