"""What works only through the author's own git settings is not there for anybody else: it fails at access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from world import World

DEAD = "https://127.0.0.1:9/ml"


def rewrite(world: World, dead: str, alive: Path) -> None:
    """From now on Aiko's git takes ``alive`` wherever ``dead`` is written."""
    world.aiko.run("git", "config", "--global", f"url.{alive}.insteadOf", dead)


def failed_access(world: World) -> dict[str, Any]:
    said = world.aiko.datakeep("verify", "orders", "--json", cwd=world.keep, code=3).data
    assert (said["result"], said["at_fault"]) == ("failed", "access")
    assert {stage["result"] for stage in said["stages"][1:]} == {"not run"}
    return said


def test_a_vault_whose_address_is_dead(new_world: Callable[..., World]) -> None:
    world = new_world()
    base = world.vault / "git"
    file = world.keep / "keep.yaml"
    text = file.read_text("utf-8")
    assert str(base) in text
    make = f"\n  create_command: [git, init, --quiet, --bare, '{base}/datasets/{{name}}.git']"
    file.write_text(text.replace(f"git: {base}", f"git: {DEAD}{make}", 1), "utf-8")
    world.aiko.run("git", "commit", "-qam", "the vault moves", cwd=world.keep)
    world.aiko.run("git", "push", "-q", cwd=world.keep)
    rewrite(world, DEAD, base)
    world.register("orders", "git")
    address = f"{DEAD}/datasets/orders.git"
    assert "refs/tags/v1" in world.aiko.run("git", "ls-remote", address).out  # on Aiko's machine all is well
    said = failed_access(world)
    assert DEAD in said["stages"][0]["what"]
    assert said["who_must_act"] == "administrator"


@pytest.fixture(scope="module")
def registered(world: World) -> World:
    world.register("orders", "git")
    return world


def test_a_submodule_whose_address_is_dead(registered: World) -> None:
    world = registered
    modules = world.keep / ".gitmodules"
    before = modules.read_text("utf-8")
    dead = f"{DEAD}/datasets/orders.git"
    modules.write_text(before.replace("../../datasets/orders.git", dead), "utf-8")
    assert modules.read_text("utf-8") != before
    world.aiko.run("git", "commit", "-qam", "a submodule moves", cwd=world.keep)
    world.aiko.run("git", "push", "-q", cwd=world.keep)
    rewrite(world, DEAD, world.vault / "git")
    allow = ("-c", "protocol.file.allow=always")
    world.aiko.run("git", *allow, "submodule", "update", "--init", "datasets/orders", cwd=world.keep)
    said = failed_access(world)
    assert dead in said["stages"][0]["what"]
    assert "orders@v1" in said["stages"][0]["what"]
    assert said["who_must_act"] == "giver"


def test_a_vault_that_moved(new_world: Callable[..., World]) -> None:
    """The folder in keep.yaml is gone; Aiko's git finds the repositories where they are now, nobody else does.

    Whether it moved or is not mounted here cannot be told, so that is no verdict; but it never passes.
    """
    world = new_world()
    world.register("orders", "git")
    base, moved = world.vault / "git", world.vault / "moved"
    base.rename(moved)
    rewrite(world, str(base), moved)
    assert "refs/tags/v1" in world.aiko.run("git", "ls-remote", base / "datasets" / "orders.git").out
    error = world.aiko.datakeep("verify", "orders", "--json", cwd=world.keep, code=17).data["error"]
    assert error["id"] == "store-missing"
    assert str(base) in error["what"]
    assert not (world.keep / "proofs").exists()


@pytest.mark.parametrize("backend", ["git", "dvc"])
def test_a_vault_that_is_mounted_elsewhere(new_world: Callable[..., World], backend: str) -> None:
    """That is the receiver's machine: no proof blames the giver, and what is said to type makes it work."""
    world = new_world()
    world.register("orders", backend)
    world.reference("orders")
    mounted = world.vault.rename(world.vault.with_name("mounted"))
    keep = world.ken.cwd / "keep"
    world.ken.run("git", "clone", "-q", mounted / "git/keeps/keep.git", keep)
    world.ken.datakeep("key", "create", cwd=keep)
    error = world.ken.datakeep("verify", "orders", "--json", cwd=keep, code=17).data["error"]
    assert (error["id"], str(world.vault / "git") in error["what"]) == ("store-missing", True)
    assert "git config datakeep.vault.git PATH" in error["next"]
    assert "git config datakeep.store.NAME.url PATH" in error["next"]
    assert not (keep / "proofs").exists()

    world.ken.run("git", "config", "datakeep.vault.git", mounted / "git", cwd=keep)
    world.ken.run("git", "config", "datakeep.store.main.url", mounted / "data", cwd=keep)
    said = world.ken.datakeep("verify", "orders", "--json", cwd=keep).data
    assert {stage["result"] for stage in said["stages"]} == {"passed"}
