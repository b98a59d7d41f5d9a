"""From a dataset every model is reached, by its shortest way; a gap on the way is said, and a circle ends."""

from __future__ import annotations

from collections import Counter

import pytest
from test_lineage_index import Repository, entry, model, opened

from datakeep.formats.inventory import FileEntry, Inventory
from datakeep.lineage import adding, same_bytes
from datakeep.lineage.backwards import reached
from datakeep.lineage.steps import Node, left_to
from datakeep.workflows.compared import _models
from datakeep.workflows.left_by import _makers


def derived(name, number, *parents, **more):
    return entry(name, number, source={"kind": "derived", "parents": list(parents)}, **more)


CHAIN = {
    "register/raw/v1.yaml": entry("raw", aliases=["once"]),
    "register/raw/v2.yaml": entry("raw", 2, aliases=["once"]),
    "register/features/v1.yaml": derived("features", 1, "raw@v1"),
    "register/features/v2.yaml": derived("features", 2, "once@v2"),
    "models/base/v1.yaml": model("base", inputs=["features@v1"]),
    "models/fine/v1.yaml": model("fine", inputs=[], bases=["base@v1"]),
    "models/direct/v1.yaml": model("direct", inputs=["raw@v1"], bases=["base@v1"]),
    "models/other/v1.yaml": model("other", inputs=["other@v1"]),
}


@pytest.fixture
def ask(tmp_path):
    def asked(files, name, number=None):
        index = opened(None, Repository().at(files))
        found = reached(index.database, name, number)
        ways = {way.end: way for way in (*found.ways, *found.direct)}
        return {str(end): [str(node) for node in way.nodes] for end, way in ways.items()}, found.open

    return asked


def test_a_chain_of_derived_data_and_base_models_is_followed_to_its_end(ask):
    ways, _ = ask(CHAIN, "raw", 1)
    assert ways == {
        "features@v1": ["raw@v1", "features@v1"],
        "base@v1": ["raw@v1", "features@v1", "base@v1"],
        "fine@v1": ["raw@v1", "features@v1", "base@v1", "fine@v1"],
        "direct@v1": ["raw@v1", "direct@v1"],
    }


def test_another_version_leads_elsewhere_and_an_earlier_name_counts(ask):
    assert set(ask(CHAIN, "raw", 2)[0]) == {"features@v2"}
    assert set(ask(CHAIN, "raw")[0]) == {"features@v1", "features@v2", "base@v1", "fine@v1", "direct@v1"}


def test_a_missing_or_broken_record_on_the_way_is_said(ask):
    for files in (
        {path: data for path, data in CHAIN.items() if path != "models/base/v1.yaml"},
        CHAIN | {"models/base/v1.yaml": b"format: ["},
    ):
        ways, gaps = ask(files, "raw", 1)
        assert "fine@v1" not in ways
        assert "model fine@v1 was made of the base model base@v1, whose record is missing or broken" in gaps
    _, gaps = ask(CHAIN, "raw", 1)
    assert gaps == ("model other@v1 was made of the dataset other@v1, whose record is missing or broken",)


def test_what_is_outside_of_the_keep_is_no_gap_and_no_version_means_any(ask):
    files = {
        "register/raw/v1.yaml": entry("raw"),
        "register/a/v1.yaml": derived("a", 1, "raw", "external:thing", "https://x.example/y"),
    }
    ways, gaps = ask(files, "raw", 1)
    assert set(ways) == {"a@v1"}
    assert gaps == ()


def test_a_longer_name_is_another_dataset(ask):
    files = {
        "register/raw/v1.yaml": entry("raw"),
        "register/raw-2/v1.yaml": entry("raw-2"),
        "models/m/v1.yaml": model("m", inputs=["raw-2@v1"]),
    }
    assert ask(files, "raw", 1)[0] == {}
    assert ask(files, "raw")[0] == {}


def test_a_circle_ends(ask):
    files = {
        "register/raw/v1.yaml": derived("raw", 1, "b@v1"),
        "register/b/v1.yaml": derived("b", 1, "raw@v1"),
        "models/m/v1.yaml": model("m", inputs=["b@v1"], bases=["n@v1"]),
        "models/n/v1.yaml": model("n", inputs=[], bases=["m@v1"]),
    }
    assert set(ask(files, "raw", 1)[0]) == {"b@v1", "m@v1", "n@v1"}


WEIGHTS, SETTINGS, SMALL = "a1" * 32, "b2" * 32, "c3" * 32


def read(sha256, at="/x/file"):
    return {"path": at, "sha256": sha256, "size_bytes": 100}


def test_one_that_read_nothing_itself_is_reached_through_its_base(ask):
    """And one that read some of it is reached both ways."""
    files = {
        "register/raw/v1.yaml": entry("raw"),
        "models/base/v1.yaml": model("base", inputs=["raw@v1"]),
        "models/both/v1.yaml": model("both", inputs=["raw@v1"], bases=["base@v1"]),
    }
    index = opened(None, Repository().at(files))
    found = reached(index.database, "raw", 1)
    assert [str(way) for way in found.direct] == ["raw@v1 → base@v1", "raw@v1 → both@v1"]
    assert [str(way) for way in found.ways] == ["raw@v1 → base@v1 → both@v1"]


def test_the_same_bytes_under_another_version_or_name_are_the_same_data(ask):
    files = {
        "register/raw/v1.yaml": entry("raw"),
        "register/raw/v2.yaml": entry("raw", 2, bytes_of="raw@v1"),
        "register/copy/v1.yaml": entry("copy", bytes_of="raw@v1"),
        "register/made/v1.yaml": derived("made", 1, "copy@v1"),
        "models/m/v1.yaml": model("m", inputs=["raw@v1"]),
        "models/n/v1.yaml": model("n", inputs=["made@v1"]),
    }
    index = opened(None, Repository().at(files))
    for asked, number in (("raw", 2), ("copy", None)):
        found = reached(index.database, asked, number)
        assert {str(way.end) for way in found.direct} == {"m@v1"}
        assert " = raw@v1 → m@v1" in str(found.direct[0])
        assert {str(way.end) for way in found.ways} == {"made@v1", "n@v1"}
    assert str(reached(index.database, "raw", 2).ways[1]) == "raw@v2 = copy@v1 → made@v1 → n@v1"


def test_what_a_run_left_leads_on_unless_nothing_follows_from_it(ask):
    def leaving(name, sha256, file, size=100, **more):
        return model(name, inputs=["raw@v1"], sha256=sha256, file=file, size=size, **more)

    files = {
        "register/raw/v1.yaml": entry("raw"),
        "models/weights/v1.yaml": leaving("weights", WEIGHTS, "m.bin"),
        "models/settings/v1.yaml": leaving("settings", SETTINGS, "config.json"),
        "models/few/v1.yaml": leaving("few", SMALL, "config.json", size=63),
        "models/copies/v1.yaml": leaving("copies", "d4" * 32, "a.csv", undeclared=[read("d4" * 32)]),
        "models/tuned/v1.yaml": model("tuned", inputs=[], undeclared=[read(WEIGHTS)]),
        "models/like/v1.yaml": model("like", inputs=[], undeclared=[read(SETTINGS)]),
        "models/no/v1.yaml": model("no", inputs=[], undeclared=[read(SMALL), read("d4" * 32)]),
    }
    index = opened(None, Repository().at(files))
    assert [str(way) for way in reached(index.database, "raw", 1).ways] == [
        "raw@v1 → settings@v1 → like@v1 (read a file that it left)",
        "raw@v1 → weights@v1 → tuned@v1 (read a file that it left)",
    ]
    assert [(str(one.maker), one.is_model) for one in left_to(index.database, Node("model", "like", 1))] == [
        ("settings@v1", False)
    ]
    assert left_to(index.database, Node("model", "tuned", 1))[0].is_model


@pytest.mark.parametrize(
    ("registered", "recorded", "makers"),
    [
        ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00+00:00", []),  # a copy of what was there
        ("2026-11-21T08:00:00+09:00", "2026-11-21T00:00:00+00:00", []),
        ("2026-11-22T00:00:00Z", "2026-11-21T00:00:00+00:00", ["a@v1"]),
        ("2026-11-21T00:00:00Z", "2026-11-21T00:00:00+00:00", ["a@v1"]),  # a copy takes longer than a moment
        ("2026-11-22T00:00:00Z", None, []),  # which was first is not known
    ],
)
def test_what_a_run_left_stays_its_own_when_it_is_registered_afterwards(registered, recorded, makers):
    files = {
        "register/tab/v1.yaml": entry("tab").replace(b"2026-11-20T03:10:00Z", registered.encode()),
        "models/a/v1.yaml": model("a", inputs=["raw@v1"], sha256=WEIGHTS, size=100, recorded_at=recorded),
        "models/b/v1.yaml": model("b", inputs=[], undeclared=[read(WEIGHTS)]),
    }
    index = opened(None, Repository().at(files))
    taking = adding.Adding(index.database)
    taking.add("88" * 32, Inventory.of([FileEntry("m.csv", 100, b"0" * 16, bytes.fromhex(WEIGHTS))]))
    taking.flush()
    same_bytes.refresh(index.database)
    found = left_to(index.database, Node("model", "b", 1))
    assert [str(one.maker) for one in found] == makers
    assert [one.model for one in _makers(index, Counter([WEIGHTS]))] == makers
    read_now = {"path": "x", "sha256": WEIGHTS}
    assert _models(index, [read_now]) == makers
    assert "b@v1" in {str(way.end) for way in reached(index.database, "tab", 1).direct}


def test_data_that_a_run_left_leads_on_to_who_was_given_it(ask):
    left = b"\nleft_by: [{model: prep@v1, files: 2}]\nmanifest:"
    files = {
        "register/raw/v1.yaml": entry("raw"),
        "register/feats/v1.yaml": entry("feats").replace(b"\nmanifest:", left),
        "models/prep/v1.yaml": model("prep", inputs=["raw@v1"]),
        "models/late/v1.yaml": model("late", inputs=["feats@v1"]),
    }
    found = reached(opened(None, Repository().at(files)).database, "raw", 1)
    assert [str(way) for way in found.ways] == [
        "raw@v1 → prep@v1 → feats@v1 (has files that it left)",
        "raw@v1 → prep@v1 → feats@v1 (has files that it left) → late@v1",
    ]
    del files["models/prep/v1.yaml"]
    said = "dataset feats@v1 was made of files that were left by the model prep@v1, whose record is missing or broken"
    assert ask(files, "raw", 1) == ({}, (said,))


def test_all_records_of_a_models_file_are_followed(ask):
    files = {
        "register/raw/v1.yaml": entry("raw"),
        "models/real/v1.yaml": model("real", inputs=["raw@v1"], sha256=WEIGHTS, size=100),
        "models/said/v1.yaml": model("said", inputs=[], sha256=WEIGHTS, size=100),
        "models/tuned/v1.yaml": model("tuned", inputs=[], bases=["said@v1"]),
    }
    ways, _ = ask(files, "raw", 1)
    assert ways["tuned@v1"] == ["raw@v1", "real@v1", "said@v1", "tuned@v1"]


def test_what_is_outside_of_the_keep_does_not_crowd_out_a_gap_and_many_gaps_are_counted(ask, monkeypatch):
    monkeypatch.setattr("datakeep.lineage.backwards._MAX_OPEN", 2)
    files = {"register/raw/v1.yaml": entry("raw")}
    files |= {f"models/a{at}/v1.yaml": model(f"a{at}", inputs=[], bases=["external:hub"]) for at in range(3)}
    files |= {f"models/b{at}/v1.yaml": model(f"b{at}", inputs=[], bases=["gone@v1"]) for at in range(4)}
    _, gaps = ask(files, "raw", 1)
    assert len(gaps) == 3
    assert gaps[0] == "model b0@v1 was made of the base model gone@v1, whose record is missing or broken"
    assert gaps[2] == "2 more records of what models and datasets were made of, likewise"


def test_a_sure_way_is_told_rather_than_a_shorter_one_that_may_be_none(ask):
    left = b"\nleft_by: [{model: prep@v1, files: 2}]\nmanifest:"
    files = {
        "register/raw/v1.yaml": entry("raw"),
        "register/feats/v1.yaml": entry("feats").replace(b"\nmanifest:", left),
        "models/prep/v1.yaml": model("prep", inputs=["raw@v1"]),
        "models/one/v1.yaml": model("one", inputs=[], bases=["prep@v1"]),
        "models/two/v1.yaml": model("two", inputs=[], bases=["one@v1"]),
        "models/late/v1.yaml": model("late", inputs=["feats@v1"], bases=["two@v1"]),
        "models/last/v1.yaml": model("last", inputs=[], bases=["late@v1"]),
    }
    ways, _ = ask(files, "raw", 1)
    assert ways["feats@v1"] == ["raw@v1", "prep@v1", "feats@v1"]
    assert ways["late@v1"] == ["raw@v1", "prep@v1", "one@v1", "two@v1", "late@v1"]
    assert ways["last@v1"] == [*ways["late@v1"], "last@v1"]


def test_who_was_given_a_file_has_not_left_it_though_both_were_written_down_in_one_second():
    files = {
        "register/tab/v1.yaml": entry("tab"),
        "models/a/v1.yaml": model(
            "a", inputs=["tab@v1"], sha256=WEIGHTS, size=100, recorded_at="2026-11-20T03:10:00Z"
        ),
    }
    index = opened(None, Repository().at(files))
    taking = adding.Adding(index.database)
    taking.add("88" * 32, Inventory.of([FileEntry("m.csv", 100, b"0" * 16, bytes.fromhex(WEIGHTS))]))
    taking.flush()
    assert _makers(index, Counter([WEIGHTS])) == []
