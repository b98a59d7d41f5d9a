"""A store counts only when it holds everything, hashed."""

from __future__ import annotations

import pytest

from datakeep.core.errors import AlreadyExists, DamagedBytes, StoreMissing
from datakeep.workflows import vault_stores
from datakeep.workflows.checkout import checkout
from datakeep.workflows.vault_stores import add_store, places


def add(bench, name="nas"):
    return add_store(bench.keep, name, str(bench.folder / name), who=bench.aiko, now=bench.now)


def objects(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "datakeep-store.json"
    }


def test_a_new_store_holds_every_version_and_the_register_stays_as_it_was(bench):
    bench.register()
    (bench.source / "new.txt").write_text("new")
    bench.update(source=bench.source)
    bench.register("tab", "git")
    before = {path: bench.keep.tree.read(path) for path in bench.keep.tree.list("register/")}
    done = add(bench)
    assert (done.created, done.versions, done.copied) == (True, 3, 4)
    assert objects(bench.folder / "nas") == objects(bench.store)
    assert {path: bench.keep.tree.read(path) for path in bench.keep.tree.list("register/")} == before
    assert bench.keep.holding(bench.keep.entry("orders@v1")) == ("main", "nas")
    assert bench.keep.holding(bench.keep.entry("tab")) == ("main", "nas")


def test_comments_of_keep_yaml_survive(bench):
    text = bench.keep.tree.read("keep.yaml").decode().replace("vault:", "# our vault\nvault:", 1)
    bench.commit(**{"keep.yaml": text})
    add(bench)
    assert "# our vault" in bench.keep.tree.read("keep.yaml").decode()


def test_doing_it_again_changes_nothing_and_mends_what_was_damaged(bench):
    bench.register()
    add(bench)
    head = bench.keep.repository.head()
    path = next(
        one
        for one in (bench.folder / "nas" / "orders").rglob("*")
        if one.is_file() and one.stat().st_size == 5
    )
    path.write_bytes(b"ALPHA")
    done = add(bench)
    assert (done.created, done.copied, done.present) == (False, 1, 1)
    assert path.read_bytes() == b"alpha"
    assert bench.keep.repository.head() == head


def test_a_store_is_not_added_while_an_object_is_whole_nowhere(bench):
    bench.register()
    path = next(one for one in bench.objects().files if one.read_bytes() == b"alpha")
    path.write_bytes(b"ALPHA")
    with pytest.raises(DamagedBytes) as caught:
        add(bench)
    assert any("a.txt" in thing or "same.txt" in thing for thing in caught.value.things)
    bench.reopen()
    assert [store.name for store in bench.keep.file.vault.stores] == ["main"]
    path.write_bytes(b"alpha")
    assert add(bench).created


def test_names_and_places_that_are_taken_are_refused(bench):
    add(bench)
    with pytest.raises(AlreadyExists):
        add_store(bench.keep, "nas", str(bench.folder / "other"), who=bench.aiko, now=bench.now)
    with pytest.raises(AlreadyExists):
        add_store(bench.keep, "nas-2", str(bench.folder / "nas"), who=bench.aiko, now=bench.now)
    with pytest.raises(StoreMissing):
        add_store(bench.keep, "far", str(bench.folder / "un" / "mounted"), who=bench.aiko, now=bench.now)


def test_a_version_that_comes_in_meanwhile_is_copied_too(bench, monkeypatch):
    bench.register()
    real, done = vault_stores._enter, []

    def enter(keep, filling, *rest):
        if not done:
            done.append(True)
            (bench.source / "late.txt").write_text("late")
            bench.register("late")
        return real(keep, filling, *rest)

    monkeypatch.setattr(vault_stores, "_enter", enter)
    assert add(bench).versions == 2
    assert bench.keep.holding(bench.keep.entry("late")) == ("main", "nas")
    assert objects(bench.folder / "nas") == objects(bench.store)


def test_the_new_store_alone_is_enough_to_get_the_data(bench):
    bench.register()
    add(bench)
    bench.store.rename(bench.folder / "lost")
    assert checkout(bench.keep, "orders", bench.folder / "copy").files == 3
    assert [(one.name, one.fault is None) for one in places(bench.keep)] == [
        ("git", True), ("main", False), ("nas", True),
    ]  # fmt: skip


def test_a_version_registered_later_names_the_new_store_itself(bench):
    add(bench)
    assert bench.register().stores == ["main", "nas"]


def test_a_bad_copy_is_told_while_the_other_serves(bench):
    bench.register()
    add(bench)
    path = next(one for one in bench.objects().files if one.read_bytes() == b"alpha")
    path.write_bytes(b"ALPHA")
    done = checkout(bench.keep, "orders", bench.folder / "copy")
    assert any("a.txt" in fault and "main" in fault for fault in done.faults)
    assert (bench.folder / "copy/data/a.txt").read_text() == "alpha"
