"""The card keeps its word: its commands, taken from it as they stand, give the bytes to a person without datakeep."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from world import World

NAME = "late-orders"


@pytest.fixture(scope="module")
def shared(new_world: Callable[..., World], tmp_path_factory: pytest.TempPathFactory) -> World:
    """A keep whose vault lies in a folder with a name that a shell would take apart."""
    share = tmp_path_factory.mktemp("share") / "Aiko's $HOME & more"
    share.mkdir()
    made = new_world("--vault-git", share / "git", "--vault-data", share / "data")
    made.vault = share
    made.ken.extra["DVC_SITE_CACHE_DIR"] = str(made.ken.caches / "dvc-site")
    return made


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def commands_of(world: World, name: str) -> tuple[str, list[str]]:
    """The card as the vault has it, and its blocks of commands."""
    repository = world.vault / "git" / "datasets" / f"{name}.git"
    card = world.ken.run("git", "--git-dir", repository, "show", "v1:README.md").out
    return card, re.findall(r"^```sh\n(.*?)^```$", card, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("backend", ["git", "dvc"])
def test_the_commands_of_the_card_give_the_bytes(shared: World, backend: str) -> None:
    name, ken = f"{NAME}-{backend}", shared.ken
    shared.register(name, backend)
    card, blocks = commands_of(shared, name)
    get, through_the_keep, check = blocks
    place = ken.cwd / backend
    place.mkdir()
    assert "datakeep" not in "".join(blocks)

    ken.run("sh", "-euc", get, cwd=place)
    assert files_in(place / name / "data") == files_in(shared.orders)

    printed = ken.run("sh", "-euc", check, cwd=place / name).out.split()[0]
    assert f"must print `{printed}`" in card

    ken.run("sh", "-euc", through_the_keep, cwd=place)
    assert files_in(place / "keep" / "datasets" / name / "data") == files_in(shared.orders)
    for clone in (place / name, place / "keep"):
        assert ken.run("git", "status", "--porcelain", cwd=clone).out == ""
