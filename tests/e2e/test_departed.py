"""Who has departed: what they are told, and who can bring them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from world import World


def test_only_another_person_brings_somebody_back(new_world: Callable[..., World]) -> None:
    world = new_world()
    world.register("orders", "git")
    world.reference("orders")
    keep = world.ken.cwd / "keep"
    world.ken.run("git", "clone", "-q", world.vault / "git/keeps/keep.git", keep)
    made = world.ken.datakeep("key", "create", "--json", cwd=keep).data
    again = world.ken.datakeep("key", "create", "--json", cwd=keep).data
    assert (made["created"], again["created"]) == (True, False)
    assert (again["public"], again["handle"]) == (made["public"], "ken")
    world.aiko.datakeep("people", "depart", "ken", "--on", "2026-01-31", cwd=world.keep)

    back = "datakeep people add --email ken@corp.example"
    error = world.ken.datakeep("verify", "orders", "--json", cwd=keep, code=None).data["error"]
    assert error["id"] == "key-fault"
    assert "ken has departed from the keep keep on 2026-01-31" in error["what"]
    assert "another person" in error["next"]
    assert back in error["next"]
    error = world.ken.datakeep("people", "add", "--json", cwd=keep, code=18).data["error"]
    assert "only another person can bring them back" in error["what"]
    assert back in error["next"]

    said = world.aiko.datakeep(*back.split()[1:], "--json", cwd=world.keep).data
    assert (said["handle"], said["changed"], said["departed"], len(said["keys"])) == ("ken", True, None, 1)
    assert world.aiko.datakeep(*back.split()[1:], "--json", cwd=world.keep).data["changed"] is False
    stages = world.ken.datakeep("verify", "orders", "--json", cwd=keep).data["stages"]
    assert stages[0]["result"] == "passed"
