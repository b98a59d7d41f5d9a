"""``log`` and ``diff``: what each version is, and what changed between two."""

from __future__ import annotations

import pytest

from datakeep.core.errors import UnknownName, UsageError
from datakeep.workflows import diff as diff_module
from datakeep.workflows.diff import diff
from datakeep.workflows.history import history


@pytest.fixture
def three(bench):
    bench.register()
    (bench.source / "b.txt").write_text("beta")
    (bench.source / "a.txt").write_text("ALPHA")
    (bench.source / "same.txt").unlink()
    bench.update(source=bench.source, why="十月分")
    bench.update(purpose="something else", why="purpose")
    return bench


def test_the_log_is_newest_first_and_says_whether_the_bytes_changed(three):
    found = history(three.keep, "orders")
    assert [(one.version, one.content_changed, one.message) for one in found] == [
        ("v3", False, "purpose"),
        ("v2", True, "十月分"),
        ("v1", None, "registered"),
    ]
    assert [one.files for one in found] == [3, 3, 3]
    with pytest.raises(UnknownName, match="did you mean 'orders'"):
        history(three.keep, "order")


def test_diff_names_the_files_and_the_fields(three):
    found = diff(three.keep, ["orders@v1", "orders@v3"])
    assert (found.files.added, found.files.removed, found.files.changed) == (
        ["b.txt"],
        ["same.txt"],
        ["a.txt"],
    )
    assert [str(change) for change in found.fields if change.path == "purpose"] == [
        "purpose: test → something else"
    ]
    assert not found.is_same


def test_one_argument_is_held_against_the_version_before_it(three):
    newest = diff(three.keep, ["orders"])
    assert (newest.old.version, newest.new.version) == ("v2", "v3")
    assert not newest.files
    older = diff(three.keep, ["orders@v2"])
    assert (older.old.version, older.new.version) == ("v1", "v2")
    with pytest.raises(UsageError, match="first version"):
        diff(three.keep, ["orders@v1"])


def test_a_version_is_the_same_as_itself(three):
    assert diff(three.keep, ["orders@v2", "orders@v2"]).is_same


def test_different_datasets_can_be_compared(three):
    three.register("other", "git", purpose="test")
    found = diff(three.keep, ["orders@v2", "other@v1"])
    assert not found.files
    assert {change.path for change in found.fields} >= {"name", "backend"}


def test_changed_documents_are_not_called_the_same(bench):
    rules = bench.folder / "rules.md"
    rules.write_text("# one\n")
    bench.register(annotation__rules=str(rules), annotation__none=None)
    rules.write_text("# two\n")
    bench.update(annotation__rules=str(rules))
    found = diff(bench.keep, ["orders"])
    assert not found.is_same
    assert not found.files
    assert len(found.documents.changed) == 1


def test_columns_are_told_apart_from_other_fields(bench):
    table = bench.folder / "t.csv"
    table.write_text("id,amount\n1,2\n")
    bench.register("tab", "git", source=table)
    table.write_text("id,amount,late\n1,2,yes\n")
    bench.update("tab", source=table)
    found = diff(bench.keep, ["tab"])
    assert [change.path for change in found.columns] == ["columns.late"]
    assert found.files.changed == ["t.csv"]


def test_only_where_a_table_changed_are_rows_asked_for(bench, monkeypatch):
    asked = []
    monkeypatch.setattr(
        diff_module, "rows_between", lambda *args, **how: asked.append(args) or (None, "not here")
    )
    (bench.source / "t.csv").write_text("id,amount\n1,2\n")
    bench.register()
    (bench.source / "a.txt").write_text("ALPHA")
    bench.update(source=bench.source)
    found = diff(bench.keep, ["orders"])
    assert (found.files.changed, found.no_rows, asked) == (["a.txt"], "", [])
    (bench.source / "t.csv").rename(bench.source / "t2.csv")
    bench.update(source=bench.source)
    assert diff(bench.keep, ["orders"]).no_rows == "not here"
    assert len(asked) == 1
