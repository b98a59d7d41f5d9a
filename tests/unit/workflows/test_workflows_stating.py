"""What is stated must be possible; what can hardly be is doubted aloud."""

from __future__ import annotations

import pytest

from datakeep.core.errors import InvalidFile
from datakeep.formats.manifest import Manifest
from datakeep.workflows import facts
from datakeep.workflows.show import show


def manifest(**source):
    fields = {"format": "datakeep/dataset/1", "name": "orders", "backend": "git"}
    return Manifest.of({**fields, "source": {"kind": "files", **source}}, what="it")


@pytest.mark.parametrize(
    ("first", "last", "possible"),
    [
        ("2026-12-31", "2026-01-01", False),
        ("2026-01-01", "2026-01-01", True),
        ("2026-01-01T10:00:00", "2026-01-01T09:00:00", False),
        ("2026-01-01T10:00:00+09:00", "2026-01-01", True),
        ("2026-01-01T10:00:00+09:00", "2026-01-01T02:00:00Z", True),
    ],
)
def test_a_range_ends_after_it_begins(first, last, possible):
    assert (manifest(valid_from=first, valid_to=last).contradictions() == []) is possible


def test_a_caveat_ends_after_it_begins():
    fields = {"format": "datakeep/dataset/1", "name": "orders", "backend": "git"}
    caveat = {"what": "dummy rows", "since": "2026-02-01", "until": "2026-01-01"}
    found = Manifest.of({**fields, "caveats": [caveat]}, what="it").contradictions()
    assert found == ["caveats[0].until is 2026-01-01, before caveats[0].since, 2026-02-01"]


def test_an_impossible_range_makes_no_version_and_hides_none(bench, monkeypatch):
    bench.register(source__valid_from="2026-01-01", source__valid_to="2026-12-31")
    with pytest.raises(InvalidFile, match=r"valid_to is 2025-01-01, before source.valid_from, 2026-01-01"):
        bench.update(source__valid_to="2025-01-01")
    assert bench.keep.versions("orders") == ["v1"]
    text = bench.keep.tree.read("register/orders/v1.yaml").decode().replace("2026-12-31", "2025-12-31")
    bench.commit(**{"register/orders/v1.yaml": text})
    warned = []
    monkeypatch.setattr(
        bench.keep, "progress", type("P", (), {"warn": lambda self, line: warned.append(line)})()
    )
    assert show(bench.keep, "orders", now=bench.now).facts
    assert any("valid_to is 2025-12-31" in line for line in warned)


def test_a_future_extraction_is_doubted(bench):
    assert facts.doubts(manifest(extracted_at="2026-11-23"), bench.now) == []
    assert facts.doubts(manifest(extracted_at="unknown"), bench.now) == []
    assert "lies in the future" in facts.doubts(manifest(extracted_at="2027-11-23"), bench.now)[0]


def test_an_empty_answer_and_a_wrong_file_get_help(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answers, heard = iter(["", "no one labelled", "none: nobody labelled"]), []

    def ask(fact, suggestion, refused):
        heard.append(refused)
        return next(answers)

    document = {"format": "datakeep/dataset/1", "name": "orders", "backend": "git"}
    made = facts.complete(document, ["annotation"], ask=ask, suggestions={}, command="datakeep register")
    assert made.annotation.none == "nobody labelled"
    assert heard == [
        None,
        "an answer is needed; 'unknown' is an answer, too",
        "there is no file 'no one labelled'; if there are no rules, answer none: WHY",
    ]
