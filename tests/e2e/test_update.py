"""The next version of a dataset: what changed is shown, and only what changed is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from seen import Quick, error_of, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from world import World

MANIFEST = """\
# Written by hand; ask Aiko before you change it.
format: datakeep/dataset/1
purpose: Predict late orders      # agreed in May
source:
  kind: files
  origin: the shop's export       # the nightly one, not the weekly
  extracted_at: 2026-11-20
annotation: {none: nothing to label}
privacy: {personal: "no"}
license: internal
access: {how: ask Aiko}
x-ticket: DATA-17                 # our own field
"""


@pytest.fixture(scope="module")
def calls(world: World) -> Iterator[Quick]:
    quick = Quick(world.aiko, type(world.aiko.run("true")))
    yield quick
    quick.close()


@pytest.fixture(scope="module", params=["git", "dvc"])
def shop(world: World, calls: Quick, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A dataset whose manifest a person wrote, and its source folder."""
    name = f"shop-{request.param}"
    folder = world.aiko.cwd / name
    folder.mkdir()
    (folder / "orders.csv").write_text("id,amount,late\n1,2,yes\n2,3,no\n")
    (folder / "old.txt").write_text("old\n")
    manifest = world.aiko.cwd / f"{name}.yaml"
    manifest.write_text(MANIFEST, "utf-8")
    calls.datakeep(
        "register", name, folder, "--backend", request.param, "--manifest", manifest, cwd=world.keep
    )
    return name, folder


def entry(world: World, calls: Quick, name: str) -> dict[str, Any]:
    return calls.datakeep("show", name, "--json", cwd=world.keep).data["entry"]


def manifest_text(world: World, name: str) -> str:
    """dataset.yaml of the newest version, as plain git gives it."""
    return world.aiko.run(
        "git", "-C", world.vault / f"git/datasets/{name}.git", "show", "main:dataset.yaml"
    ).out


def test_what_did_not_change_makes_no_version(world: World, calls: Quick, shop: tuple[str, Path]) -> None:
    name, folder = shop
    before = state(world)
    for argv in ((), (folder,), ("--purpose", "Predict late orders"), (folder, "--license", "internal")):
        ran = calls.datakeep("update", name, *argv, "-m", "nothing", cwd=world.keep)
        newest = entry(world, calls, name)["version"]
        assert f"nothing differs from {name}@{newest}; no version was made" in ran.out
        assert (
            calls.datakeep("update", name, *argv, "-m", "x", "--json", cwd=world.keep).data["created"]
            is False
        )
    assert state(world) == before


def test_a_dry_run_shows_all_and_records_nothing(
    world: World, calls: Quick, shop: tuple[str, Path], tmp_path: Path
) -> None:
    name, _ = shop
    (tmp_path / "orders.csv").write_text("id,late\n1,yes\n")
    before = state(world)
    ran = calls.datakeep("update", name, tmp_path, "--license", "CC0-1.0", "--dry-run", cwd=world.keep)
    for line in (
        "1 file removed: old.txt", "1 file changed: orders.csv", "columns.amount removed: type: int64",
        "license: internal → CC0-1.0", "contents.rows: 2 → 1",
    ):  # fmt: skip
        assert line in ran.err, line
    assert ran.out == "a dry run: nothing was recorded\n"
    told = calls.datakeep(
        "update", name, tmp_path, "--license", "CC0-1.0", "--dry-run", "--json", cwd=world.keep
    )
    assert (told.data["dry_run"], told.data["created"]) == (True, False)
    assert state(world) == before
    assert calls.datakeep("list", "--json", cwd=world.keep).data["datasets"]


def test_fields_alone_keep_the_bytes_and_the_comments(
    world: World, calls: Quick, shop: tuple[str, Path]
) -> None:
    name, _ = shop
    before = entry(world, calls, name)
    ran = calls.datakeep(
        "update", name, "--caveat", "dummy rows until May", "--owner", "Ken Sato <ken@corp.example>", "-m",
        "Ken has it now", cwd=world.keep,
    )  # fmt: skip
    after = entry(world, calls, name)
    assert ran.out.startswith(f"registered {name}@{after['version']}: Ken has it now\n")
    assert "the same bytes" in ran.err
    assert "caveats added: what: dummy rows until May" in ran.err
    assert "owner.name: Aiko Tanaka → Ken Sato" in ran.err
    assert (after["content"], after["files"]) == (before["content"], before["files"])
    assert after["commit"] != before["commit"]
    assert after["message"] == "Ken has it now"
    text = manifest_text(world, name)
    for comment in (
        "# Written by hand; ask Aiko before you change it.",
        "# agreed in May",
        "# our own field",
    ):
        assert comment in text
    assert "extracted_at: 2026-11-20\n" in text
    assert after["manifest"]["x-ticket"] == "DATA-17"


def test_new_bytes_are_shown_file_by_file_and_the_old_version_stays(
    world: World, calls: Quick, shop: tuple[str, Path], tmp_path: Path
) -> None:
    name, folder = shop
    old = entry(world, calls, name)
    (folder / "orders.csv").write_text("id,amount,late,shop\n1,2,yes,東京\n2,3,no,大阪\n3,9,no,東京\n")
    (folder / "old.txt").unlink()
    (folder / "新しい.txt").write_text("new\n")
    ran = calls.datakeep("update", name, folder, "-m", "October added", cwd=world.keep)
    new = entry(world, calls, name)
    for line in (
        f"{old['version']} → {new['version']}", "1 file added: 新しい.txt", "1 file removed: old.txt",
        "1 file changed: orders.csv", "columns.shop added: type: string", "contents.rows: 2 → 3",
    ):  # fmt: skip
        assert line in ran.err, line
    assert new["content"] != old["content"]
    assert "# agreed in May" in manifest_text(world, name)
    for version, text in ((old["version"], "old"), (new["version"], None)):
        calls.datakeep("checkout", f"{name}@{version}", tmp_path / version, cwd=world.keep)
        file = tmp_path / version / "data" / "old.txt"
        assert file.read_text() == "old\n" if text else not file.exists()
    assert calls.datakeep("status", name, "--dir", tmp_path / new["version"], cwd=world.keep).code == 0


def test_what_a_person_wrote_of_a_column_survives_new_bytes(
    world: World, calls: Quick, shop: tuple[str, Path], tmp_path: Path
) -> None:
    name, folder = shop
    told = tmp_path / "m.yaml"
    told.write_text(MANIFEST + "columns: [{name: amount, meaning: pieces ordered, unit: pcs}]\n", "utf-8")
    calls.datakeep("update", name, folder, "--manifest", told, "-m", "units", cwd=world.keep)
    with (folder / "orders.csv").open("a") as file:
        file.write("4,5,no,東京\n")
    calls.datakeep("update", name, folder, "-m", "one more", cwd=world.keep)
    columns = {column["name"]: column for column in entry(world, calls, name)["manifest"]["columns"]}
    assert columns["amount"] == {
        "name": "amount",
        "meaning": "pieces ordered",
        "unit": "pcs",
        "type": "int64",
    }
    assert len(columns) == 4


def test_a_manifest_can_be_replaced_but_not_its_name_or_backend(
    world: World, calls: Quick, shop: tuple[str, Path], tmp_path: Path
) -> None:
    name, _ = shop
    told = tmp_path / "m.yaml"
    before = state(world)
    told.write_text(MANIFEST + "name: another\n", "utf-8")
    ran = calls.datakeep("update", name, "--manifest", told, "-m", "x", cwd=world.keep, code=2)
    assert "the manifest of 'another'" in error_of(ran).what
    other = "dvc" if name.endswith("git") else "git"
    told.write_text(MANIFEST + f"backend: {other}\n", "utf-8")
    ran = calls.datakeep("update", name, "--manifest", told, "-m", "x", cwd=world.keep, code=2)
    assert "backend" in error_of(ran).what
    assert state(world) == before


def test_caveats_aliases_and_stewards_are_added_to(
    world: World, calls: Quick, shop: tuple[str, Path], tmp_path: Path
) -> None:
    name, _ = shop
    before = entry(world, calls, name)["manifest"]
    for number in "12":
        ran = calls.datakeep(
            "update", name, "--caveat", f"caveat {number}", "--alias", f"{name}-old-{number}",
            "--steward", f"Mei {number} <mei{number}@corp.example>", "-m", "learnt", cwd=world.keep,
        )  # fmt: skip
        assert f"next: datakeep reference {name} --code DIR" in ran.out
    after = entry(world, calls, name)["manifest"]
    assert after["caveats"] == [*before.get("caveats", []), {"what": "caveat 1"}, {"what": "caveat 2"}]
    assert after["aliases"][-2:] == [f"{name}-old-1", f"{name}-old-2"]
    mails = [steward["email"] for steward in after["stewards"]]
    assert mails[-2:] == ["mei1@corp.example", "mei2@corp.example"]

    ran = calls.datakeep("update", name, "--caveat", "caveat 1", "-m", "again", cwd=world.keep)
    assert "nothing differs" in ran.out
    again = ("--steward", "Mei Ito <mei1@corp.example>", "-m", "her name")
    calls.datakeep("update", name, *again, cwd=world.keep)
    stewards = entry(world, calls, name)["manifest"]["stewards"]
    assert [(one["name"], one["email"]) for one in stewards[-2:]] == [
        ("Mei Ito", "mei1@corp.example"),
        ("Mei 2", "mei2@corp.example"),
    ]

    replacing = tmp_path / "replacing.yaml"
    replacing.write_text(MANIFEST + "caveats: [{what: the only one}]\n", "utf-8")
    calls.datakeep("update", name, "--manifest", replacing, "-m", "tidied", cwd=world.keep)
    assert entry(world, calls, name)["manifest"]["caveats"] == [{"what": "the only one"}]
