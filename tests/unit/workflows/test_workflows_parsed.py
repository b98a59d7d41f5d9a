"""With the index or without, list and status give the same answers, broken entries and all."""

from __future__ import annotations

import pytest

from datakeep.workflows import parsed
from datakeep.workflows.listing import list_datasets
from datakeep.workflows.status import keep_status


@pytest.fixture
def filled(bench):
    """Versions of two datasets, and register entries and records that are broken in every way."""
    bench.register("orders")
    bench.update("orders", purpose="again")
    entry = bench.register("tab", backend="git", aliases=["old-tab"])
    text = bench.keep.tree.read("register/tab/v1.yaml").decode()
    bench.commit(
        **{
            "register/tab/v2.yaml": text,  # says that it is v1
            "register/tab/v3.yaml": "format: [",
            "register/odd/v1.yaml": text.replace("tab", "odd").replace("backend: git", "backend: cvs"),
            "register/new/v1.yaml": text.replace("version/1", "version/9"),
            "models/bad/v1.yaml": "format: [",
        }
    )
    bench.prove(entry)
    return bench.reopen()


def test_the_answers_are_the_same(filled, bench, monkeypatch):
    def answers():
        keep = bench.reopen()
        paths = [path for path in keep.tree.list("register/") if path.endswith(".yaml")]
        entries = {
            path: one if hasattr(one, "dataset") else (type(one), one.what, one.next_step)
            for path, one in parsed.entries_at(keep, paths).items()
        }
        return entries, list_datasets(keep, now=bench.now), keep_status(keep, now=bench.now)

    plain = answers()
    assert not list(filled.cache().glob("index-*"))
    monkeypatch.setattr(parsed, "MANY", 0)
    assert answers() == plain
    assert list(filled.cache().glob("index-*"))
    assert {finding.kind for finding in plain[2].findings} >= {"broken-entry", "broken-record"}
    assert [one.name for one in plain[1]] == ["odd", "orders", "tab"]
