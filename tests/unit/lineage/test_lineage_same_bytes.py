"""Undeclared files are known by their digest: after each new record and list, and none where there is none."""

from __future__ import annotations

import hashlib

import pytest

from datakeep.formats.inventory import FileEntry, Inventory
from datakeep.lineage import adding, same_bytes, schema


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_list(database, number, **files):
    entries = [
        FileEntry(f"{name}.csv", 1, b"0" * 16, bytes.fromhex(digest(text))) for name, text in files.items()
    ]
    taking = adding.Adding(database)
    assert taking.add(f"{number}", Inventory.of(entries))
    taking.flush()
    row = (
        f"register/orders/v{number}.yaml",
        "orders",
        number,
        "c",
        "x",
        f"{number}",
        1,
        "[]",
        "git",
        None,
        0,
    )
    database.execute("INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def add_record(database, name, *undeclared, **more):
    path = f"models/{name}/v1.yaml"
    database.execute("INSERT INTO entry VALUES (?, 'o', 'model', ?, 1, NULL, '{}')", (path, name))
    same_bytes.note(database, path, {"undeclared": list(undeclared), **more})


def read(text, **more):
    return {"path": f"/x/{text}", "size_bytes": len(text), "sha256": digest(text), **more}


def found(database, *asked):
    same_bytes.refresh(database)
    return [
        (one.model, one.at, one.version, one.path)
        for one in same_bytes.of_dataset(database, "orders", *asked)
    ]


@pytest.fixture
def database():
    made = schema.create(None)
    yield made
    made.close()


def test_lists_and_records_may_come_in_any_order(database):
    add_record(database, "early", read("one"), read("elsewhere"))
    assert found(database) == []
    add_list(database, 1, a="one", b="two")
    assert found(database) == [("early@v1", "/x/one", "v1", "a.csv")]
    add_record(database, "late", read("two"))
    add_list(database, 2, a="other", b="two")
    assert found(database) == [
        ("early@v1", "/x/one", "v1", "a.csv"),
        ("late@v1", "/x/two", "v1", "b.csv"),
        ("late@v1", "/x/two", "v2", "b.csv"),
    ]
    assert found(database, 2) == [("late@v1", "/x/two", "v2", "b.csv")]
    assert found(database, 1, "a.csv") == [("early@v1", "/x/one", "v1", "a.csv")]


def test_nothing_is_known_of_an_empty_file_and_of_what_is_no_digest(database):
    add_list(database, 1, a="")
    add_record(
        database, "m", read(""), {"path": "/x", "sha256": same_bytes.EMPTY}, {"path": "/y", "sha256": "zz"}
    )
    assert found(database) == []
    assert same_bytes.unlisted(database) == []


def test_a_record_that_lists_less_than_it_counts_is_named(database):
    add_record(database, "cut", read("one"), undeclared_count=2)
    add_record(database, "whole", read("one"), undeclared_count=1)
    assert same_bytes.unlisted(database) == ["cut@v1"]


def test_what_changed_meanwhile_is_not_sure(database):
    add_list(database, 1, a="one")
    add_record(database, "m", read("one", changed="during the training or since"))
    same_bytes.refresh(database)
    assert [one.is_sure for one in same_bytes.of_dataset(database, "orders")] == [False]


def test_that_a_file_has_the_bytes_of_more_registered_ones_than_are_looked_at_is_told(database, monkeypatch):
    monkeypatch.setattr("datakeep.lineage.same_bytes._MAX_ROWS", 2)
    add_list(database, 1, a="one", b="two")
    add_list(database, 2, a="one", b="other")
    add_record(database, "m", read("one"), read("two"))
    assert len(found(database)) == 3
    assert same_bytes.not_looked_at(database) == []
    add_list(database, 3, a="one", b="more", c="one")
    assert len(found(database)) == 3
    assert same_bytes.not_looked_at(database) == [
        "2 more registered files with the bytes of /x/one, which m@v1 read"
    ]
