"""``fsck``: random damage is found, all of it and nothing else; repair brings it back and deletes nothing."""

from __future__ import annotations

import itertools
import random
from functools import partial
from typing import TYPE_CHECKING

import pytest
from seen import files_below

from datakeep.cli.fsck import _lines
from datakeep.core.progress import Silent
from datakeep.store import checking
from datakeep.workflows.fsck import Plan, fsck
from datakeep.workflows.keep import open_keep

if TYPE_CHECKING:
    from pathlib import Path

    from world import Person

FILES = 60


@pytest.fixture
def stores(aiko: Person, keep: Path, facts: tuple[str, ...]) -> tuple[Path, Path]:
    """The folders of two stores that hold ``many``: 60 files, some of them equal, one of them empty."""
    source = aiko.cwd / "many"
    (source / "deep").mkdir(parents=True)
    for number in range(FILES):
        folder = source / "deep" if number % 2 else source
        (folder / f"{number:03}.bin").write_bytes(b"x" * (number // 3 * 100))
    aiko.datakeep("register", "many", source, "--backend", "dvc", *facts, cwd=keep)
    nas = aiko.cwd / "nas"
    aiko.datakeep("vault", "add", "nas", nas, cwd=keep)
    return keep.with_name("keep.vault") / "data" / "many", nas / "many"


def _damage(path: Path, kind: str) -> None:
    data = path.read_bytes()
    if kind == "flip" and data:
        place = len(data) // 2
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
    elif kind == "truncate" and data:
        path.write_bytes(data[: len(data) // 2])
    elif kind == "grow":
        path.write_bytes(data + b"!")
    else:
        path.unlink()


def test_whole_stores_are_clean(aiko: Person, keep: Path, stores: tuple[Path, Path]) -> None:
    quick = aiko.datakeep("fsck", "--json", cwd=keep).data
    assert (quick["clean"], quick["deep"], quick["unreferenced"]) == (True, False, {"main": 0, "nas": 0})
    assert all(state["unread"] == state["objects"] for state in quick["versions"])
    deep = aiko.datakeep("fsck", "--deep", "--json", cwd=keep).data
    assert deep["coverage"] == 1.0
    assert all(state["whole"] == state["objects"] for state in deep["versions"])
    assert deep["copies"] == [{"version": "many@v1", "whole": 2, "present": 0, "wanted": 2}]


def test_deep_finds_every_damage_and_repair_mends_it(
    aiko: Person, keep: Path, stores: tuple[Path, Path]
) -> None:
    main, _ = stores
    chance = random.Random(4711)
    objects = sorted(path for path in (main / "files").rglob("*") if path.is_file())
    damaged = chance.sample(objects, 9)
    kept = {path: path.read_bytes() for path in damaged}
    for path in damaged:
        _damage(path, chance.choice(["flip", "truncate", "grow", "delete"]))
    bad = {path for path in damaged if not path.is_file() or path.read_bytes() != kept[path]}
    broken = {path: path.read_bytes() for path in bad if path.is_file()}
    found = aiko.datakeep("fsck", "--deep", "--json", cwd=keep, code=3).data
    states = {state["store"]: state for state in found["versions"]}
    assert len(states["main"]["missing"]) + len(states["main"]["wrong"]) == len(bad)
    assert states["main"]["whole"] == len(objects) - len(bad)
    assert states["nas"]["whole"] == len(objects)
    mended = aiko.datakeep("fsck", "--deep", "--repair", cwd=keep)
    assert "nothing is missing or wrong" in mended.out
    assert all(path.read_bytes() == data for path, data in kept.items())
    quarantine = main / "datakeep" / "quarantine"
    assert sorted(path.read_bytes() for path in quarantine.iterdir()) == sorted(broken.values())


@pytest.mark.long
def test_deep_finds_all_of_a_thousand_damages_and_nothing_else(
    aiko: Person, keep: Path, facts: tuple[str, ...]
) -> None:
    chance = random.Random(1000)
    source = aiko.cwd / "thousands"
    source.mkdir()
    for number in range(3000):
        (source / f"{number:04}.bin").write_bytes(chance.randbytes(chance.randint(1, 4000)))
    aiko.datakeep("register", "thousands", source, "--backend", "dvc", *facts, cwd=keep)
    main = keep.with_name("keep.vault") / "data" / "thousands" / "files"
    objects = sorted(path for path in main.rglob("*") if path.is_file() and path.suffix != ".dir")
    damaged = chance.sample(objects, 1000)
    kept = {path: path.read_bytes() for path in damaged}
    for path in damaged:
        _damage(path, chance.choice(["flip", "truncate", "grow", "delete"]))
    bad = sum(not path.is_file() or path.read_bytes() != data for path, data in kept.items())
    state = aiko.datakeep("fsck", "thousands", "--deep", "--json", cwd=keep, code=3).data["versions"][0]
    assert (len(state["missing"]) + len(state["wrong"]), state["whole"]) == (bad, state["objects"] - bad)
    assert bad > 990


def test_quick_says_what_it_cannot_see(aiko: Person, keep: Path, stores: tuple[Path, Path]) -> None:
    victim = max(
        (path for path in (stores[0] / "files").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    _damage(victim, "flip")
    quick = aiko.datakeep("fsck", cwd=keep)
    assert quick.out.startswith("nothing is missing or of another size\n")
    assert "flipped bits are not seen this way" in quick.out
    assert "or wrong" not in aiko.datakeep("fsck", "--repair", cwd=keep).out
    aiko.datakeep("fsck", "--deep", cwd=keep, code=3)
    victim.unlink()
    assert "1 missing" in aiko.datakeep("fsck", cwd=keep, code=3).out


def test_without_another_copy_repair_says_so_and_changes_nothing(
    aiko: Person, keep: Path, stores: tuple[Path, Path]
) -> None:
    for store in stores:
        for path in (store / "files").rglob("*"):
            if path.is_file() and path.stat().st_size == 500:
                _damage(path, "flip")
    said = aiko.datakeep("fsck", "--deep", "--repair", cwd=keep, code=3).out
    assert said.startswith("something is wrong that was not repaired: 2 of 2 versions-in-stores not whole\n")
    assert "many@v1: whole in no store: 3 files" in said
    assert "  lost: data/016.bin" in said  # each file with these bytes, not one of them
    steps = [line for line in said.splitlines() if line.startswith("next: ")]
    assert len(steps) == 1
    assert "restore the folder many of store 'main'" in steps[0]
    assert steps[0].endswith("datakeep update many SOURCE --deep -m WHY; then datakeep fsck --deep")


def test_without_repair_nothing_is_changed(
    aiko: Person, keep: Path, vault: Path, stores: tuple[Path, Path]
) -> None:
    objects = sorted(path for path in (stores[0] / "files").rglob("*") if path.is_file())
    for path, kind in zip(
        objects[::3], itertools.cycle(("flip", "truncate", "grow", "delete")), strict=False
    ):
        _damage(path, kind)
    (stores[0] / "files" / "md5" / "ee").mkdir(exist_ok=True)
    (stores[0] / "files" / "md5" / "ee" / ("0" * 30)).write_bytes(b"stray")
    tag = vault / "git" / "datasets" / "many.git" / "refs" / "tags" / "v1"
    tag.unlink()
    before = [files_below(place) for place in (vault, stores[1])]
    for options in ((), ("--deep",), ("--budget", "1h"), ("--store", "main", "--deep")):
        aiko.datakeep("fsck", *options, cwd=keep, code=3)
    assert [files_below(place) for place in (vault, stores[1])] == before
    assert aiko.run("git", "status", "--porcelain", cwd=keep).out == ""


def test_a_moved_tag_and_a_damaged_repository_are_complaints(
    aiko: Person, keep: Path, vault: Path, stores: tuple[Path, Path]
) -> None:
    repository = vault / "git" / "datasets" / "many.git"
    tag = repository / "refs" / "tags" / "v1"
    commit = aiko.run("git", "-C", repository, "rev-parse", "main^{tree}").out
    kept = tag.read_bytes()
    other = aiko.run("git", "-C", repository, "commit-tree", "-m", "other", commit.strip()).out
    tag.write_text(other)
    assert "is another commit than registered" in aiko.datakeep("fsck", cwd=keep, code=3).out
    tag.write_bytes(kept)
    packs = [
        path for path in (repository / "objects").rglob("*") if path.is_file() and path.stat().st_size > 60
    ]
    for path in packs:
        path.chmod(0o644)
        _damage(path, "flip")
    assert aiko.datakeep("fsck", "--json", cwd=keep, code=3).data["complaints"]


def test_a_budget_goes_on_where_it_stopped(aiko: Person, keep: Path, stores: tuple[Path, Path]) -> None:
    done = aiko.datakeep("fsck", "--budget", "1h", "--json", cwd=keep).data
    assert (done["coverage"], done["days_to_full"]) == (1.0, 0)
    assert aiko.datakeep("fsck", "--budget", "soon", cwd=keep, code=2).err.count("write 90s, 30m or 2h") == 1


def test_an_unknown_store_is_named(aiko: Person, keep: Path, stores: tuple[Path, Path]) -> None:
    assert "did you mean 'nas'?" in aiko.datakeep("fsck", "--store", "nsa", cwd=keep, code=11).err


def test_a_small_budget_reads_all_in_a_few_runs(
    aiko: Person, keep: Path, stores: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aiko.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(checking, "_SLICE", 10)
    shares, days = [], []
    for _ in range(8):
        clock = partial(next, itertools.count(0.0))
        found = fsck(open_keep(keep, Silent()), Plan(budget_s=3, deep=True), clock=clock)
        assert found.is_clean
        shares.append(found.coverage)
        days.append(found.days_to_full)
        said = list(_lines(found, repair=False, verbose=False))
        if found.coverage < 1:
            assert said[-1].startswith(
                f"read {found.coverage:.0%} of all objects in this round; with one such run a day"
            )
        if found.coverage == 1.0:
            break
    assert shares == sorted(shares)
    assert shares[0] < 0.6
    assert shares[-1] == 1.0
    assert len(shares) > 2
    assert days == sorted(days, reverse=True), "each run leaves fewer days"
    assert days[-1] == 0
    assert days[0] >= len(shares) - 1
