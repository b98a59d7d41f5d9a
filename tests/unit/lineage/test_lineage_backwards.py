"""From a dataset every model is reached, by its shortest way; a gap on the way is said, and a circle ends."""

from __future__ import annotations

import pytest
from test_lineage_index import Repository, entry, model, opened

from datakeep.lineage.backwards import reached


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
        return {str(way.end): [str(node) for node in way.nodes] for way in found.ways}, found.open

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


def test_a_circle_ends(ask):
    files = {
        "register/raw/v1.yaml": derived("raw", 1, "b@v1"),
        "register/b/v1.yaml": derived("b", 1, "raw@v1"),
        "models/m/v1.yaml": model("m", inputs=["b@v1"], bases=["n@v1"]),
        "models/n/v1.yaml": model("n", inputs=[], bases=["m@v1"]),
    }
    assert set(ask(files, "raw", 1)[0]) == {"b@v1", "m@v1", "n@v1"}
