"""What `--where` finds, and what it does not look into, is told as what it is: never a "no" that nobody found out."""

from __future__ import annotations

from datakeep.cli.audit_where import _data, _lines
from datakeep.workflows.audit_where import audit_where


def put(bench, files):
    folder = bench.folder / "rows"
    folder.mkdir(exist_ok=True)
    for path, text in files.items():
        (folder / path).write_text(text)
    return folder


def ask(bench, condition):
    found = audit_where(bench.keep, condition)
    return found, _data(found), list(_lines(found, fetch=False))


def test_a_table_of_a_format_that_is_not_searched_makes_no_no(bench):
    source = put(bench, {"a.csv": "id\n1\n", "b.xlsx": "PK", "c.csv.zip": "PK", "notes.txt": "4711"})
    bench.register("orders", "git", source=source)
    _, data, lines = ask(bench, "id = 4711")
    assert (data["answer"], data["complete"], data["other_tables"]) == (
        "not known",
        False,
        {"xlsx": 1, "zip": 1},
    )
    assert data["no_tables"] == {"txt": 1}
    assert lines[0] == (
        "not known: not found in what was searched, but 2 files were not searched; this is no 'no'"
    )
    assert "tables of a format that is not searched: xlsx 1, zip 1" in lines
    _, data, _ = ask(bench, "id = 1")
    assert (data["answer"], data["complete"]) == ("yes", False)
    _, data, lines = ask(bench, "absent = 1")  # what nobody looked into may have it
    assert data["answer"] == "not known"
    assert "    they have: id" in lines


def test_the_same_bytes_are_read_as_what_each_name_says(bench):
    """Renamed because its first name was wrong: in the table that it was taken for there is no such column."""
    text = '{"id": 4711}\n{"id": 1}\n'
    source = put(bench, {"events.csv": text})
    bench.register("events", "git", source=source)
    (source / "events.csv").rename(source / "events.jsonl")
    bench.update("events", source=source)
    found, data, _ = ask(bench, "id = 4711")
    assert [(one.version, one.rows) for one in found.search.having] == [("v2", 1)]
    assert data["searched"]["different"] == 2
