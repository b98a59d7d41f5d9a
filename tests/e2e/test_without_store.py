"""One store that cannot be reached blocks no version: it is left out, said so, and filled later."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from world import Person

DVC = Path(sys.executable).with_name("dvc")


@pytest.fixture
def nas(aiko: Person, keep: Path) -> Path:
    """The folder of the keep's second store."""
    place = aiko.cwd / "nas"
    aiko.datakeep("vault", "add", "nas", place, cwd=keep)
    return place


@pytest.fixture
def grown(aiko: Person, orders: Path) -> Path:
    """The data of ``orders`` with a file more."""
    shutil.copytree(orders, aiko.cwd / "grown")
    (aiko.cwd / "grown" / "new.txt").write_text("new")
    return aiko.cwd / "grown"


def _copies(who: Person, keep: Path) -> dict[str, int]:
    """Version to copies that are there, by a listing."""
    found = who.datakeep("fsck", "--json", cwd=keep, code=None).data
    return {one["version"]: one["whole"] + one["present"] for one in found["copies"]}


def _findings(who: Person, keep: Path) -> list[dict]:
    found = who.datakeep("status", "--json", cwd=keep, code=None).data["findings"]
    return [one for one in found if one["kind"] == "copies"]


def _pulled(who: Person, vault: Path, name: str, place: Path) -> list[str]:
    who.run("git", "clone", "--quiet", vault / "git" / "datasets" / f"{name}.git", place)
    who.run(DVC, "pull", "--quiet", cwd=place)
    return sorted(path.name for path in (place / "data").rglob("*") if path.is_file())


def test_an_unreachable_store_is_left_out_and_filled_later(
    aiko: Person, ken: Person, keep: Path, vault: Path, nas: Path, orders: Path, facts: tuple[str, ...]
) -> None:
    """The default store of the keep is away; plain dvc pulls from the other one all the same."""
    main, away = vault / "data", vault / "away"
    main.rename(away)
    register = ("register", "orders", orders, "--backend", "dvc", *facts)
    refused = aiko.datakeep(*register, cwd=keep, code=17).err
    assert f"--without-store main; datakeep vault add main {main} fills it later" in refused
    said = aiko.datakeep(*register, "--without-store", "main", cwd=keep)
    assert "bytes in nas" in said.out
    assert f"once it can be used: datakeep vault add main {main}" in said.err
    assert "new.txt" not in _pulled(ken, vault, "orders", ken.cwd / "orders")
    away.rename(main)
    (finding,) = _findings(aiko, keep)
    assert finding["next_step"] == f"datakeep vault add main {main}"
    assert _copies(aiko, keep) == {"orders@v1": 1}
    aiko.datakeep("vault", "add", "main", main, cwd=keep)
    assert not _findings(aiko, keep)
    assert _copies(aiko, keep) == {"orders@v1": 2}


@pytest.mark.parametrize("backend", ["dvc", "git"])
def test_a_version_that_builds_on_what_a_store_lacks_is_not_said_to_be_there(
    aiko: Person, keep: Path, nas: Path, orders: Path, grown: Path, facts: tuple[str, ...], backend: str
) -> None:
    aiko.datakeep(
        "register", "orders", orders, "--backend", backend, *facts, "--without-store", "nas", cwd=keep
    )
    aiko.datakeep("update", "orders", "--caveat", "late", "-m", "a fact", cwd=keep)
    aiko.datakeep("update", "orders", grown, "-m", "one more", cwd=keep)
    git_base = backend == "git"
    assert _copies(aiko, keep) == {
        "orders@v1": 1 + git_base, "orders@v2": 1 + git_base, "orders@v3": 2,
    }  # fmt: skip
    if not git_base:
        (finding,) = _findings(aiko, keep)
        assert (finding["thing"], "v1" in finding["what"]) == ("orders@v2", True)
    aiko.datakeep("vault", "add", "nas", nas, cwd=keep)
    assert set(_copies(aiko, keep).values()) == {2 + git_base}
    assert not _findings(aiko, keep)
    aiko.datakeep("fsck", "--deep", cwd=keep)


def test_names_are_checked_and_one_store_remains(
    aiko: Person, keep: Path, nas: Path, orders: Path, facts: tuple[str, ...]
) -> None:
    register = ("register", "orders", orders, "--backend", "dvc", *facts)
    said = aiko.datakeep(*register, "--without-store", "nsa", cwd=keep, code=11).err
    assert "did you mean 'nas'?" in said
    both = ("--without-store", "nas", "--without-store", "main")
    assert "every store of the keep is left out" in aiko.datakeep(*register, *both, cwd=keep, code=2).err
    assert not aiko.datakeep("list", "--json", cwd=keep).data["datasets"]


def test_a_fact_is_not_registered_where_no_store_has_the_bytes(
    aiko: Person, keep: Path, nas: Path, orders: Path, facts: tuple[str, ...]
) -> None:
    aiko.datakeep(
        "register", "orders", orders, "--backend", "dvc", *facts, "--without-store", "nas", cwd=keep
    )
    update = ("update", "orders", "--caveat", "late", "-m", "a fact")
    said = aiko.datakeep(*update, "--without-store", "main", cwd=keep, code=17).err
    assert f"datakeep vault add nas {nas}" in said
    assert aiko.datakeep(*update, "--without-store", "nas", "--json", cwd=keep).data["version"] == "v2"


def test_a_training_is_stated_without_a_store(
    aiko: Person, keep: Path, nas: Path, orders: Path, training: Path, facts: tuple[str, ...]
) -> None:
    aiko.datakeep("register", "orders", orders, "--backend", "dvc", *facts, cwd=keep)
    shutil.rmtree(nas)
    state = ("reference", "orders", "--code", training, "--command", "python train.py {data} {out}")
    assert "--without-store nas" in aiko.datakeep(*state, cwd=keep, code=17).err
    assert aiko.datakeep(*state, "--without-store", "nas", "--json", cwd=keep).data["version"] == "v2"


def test_a_keep_with_one_store_is_not_told_to_leave_it_out(
    aiko: Person, keep: Path, vault: Path, orders: Path, facts: tuple[str, ...]
) -> None:
    (vault / "data").rename(vault / "away")
    said = aiko.datakeep("register", "orders", orders, "--backend", "dvc", *facts, cwd=keep, code=17).err
    assert "--without-store" not in said
