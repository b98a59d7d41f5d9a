"""A year is no day, nor is another form: refused where it is stated; what was stated once is its first or last."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from datakeep.core.errors import InvalidFile, UsageError
from datakeep.formats.version import VersionEntry
from datakeep.workflows import facts
from datakeep.workflows.days import check_days
from datakeep.workflows.retention import kept_until


@pytest.mark.parametrize(
    ("path", "stated", "day"),
    [
        ("privacy.retention_until", "2020", "--retention-until 2020-12-31"),
        ("source.valid_from", " 2020", "--valid-from 2020-01-01"),
        ("source.extracted_at", "1577836800", "--extracted-at YYYY-MM-DD"),
        ("privacy.retention_until", "20261231", "--retention-until 2026-12-31"),
        ("privacy.retention_until", "2026-2-3", "--retention-until 2026-02-03"),
        ("privacy.retention_until", "31.12.2026", "--retention-until 2026-12-31"),
        ("privacy.retention_until", "2026/12/31", "--retention-until 2026-12-31"),
        ("privacy.retention_until", "2026-11-27T04:00:00", "--retention-until 2026-11-27"),
        ("privacy.retention_until", "31/12/2026", "--retention-until YYYY-MM-DD"),  # may be read in two ways
        ("privacy.retention_until", "20260231", "--retention-until YYYY-MM-DD"),
        ("privacy.retention_until", "2026-02-31", "--retention-until YYYY-MM-DD"),
        ("privacy.retention_until", "never", "--retention-until YYYY-MM-DD"),
        ("privacy.retention_until", "", "--retention-until YYYY-MM-DD"),
    ],
)
def test_what_is_no_day_is_refused_and_none_is_made_up(path: str, stated: str, day: str) -> None:
    with pytest.raises(UsageError) as refused:
        facts.state({}, {path: stated})
    away = "; --retention-until none takes it away" if path == "privacy.retention_until" else ""
    assert refused.value.next_step == f"write {day}{away}"
    assert f"{stated!r} is " in refused.value.what


@pytest.mark.parametrize("day", ["2020-01-31", "2020-01-31T10:00:00+09:00", "2020-01-31 10:00", "unknown"])
def test_a_day_and_a_moment_are_none(day: str) -> None:
    document: dict[str, Any] = {}
    facts.state(document, {"source.extracted_at": day})
    check_days(document, what="x.yaml")
    assert document == {"source": {"extracted_at": day}}


def test_a_day_until_which_data_may_be_kept_is_taken_away_by_none() -> None:
    document: dict[str, Any] = {"privacy": {"personal": "yes", "retention_until": "2020-01-31"}}
    facts.state(document, {"privacy.retention_until": "none"})
    check_days(document, what="x.yaml")
    assert document == {"privacy": {"personal": "yes", "retention_until": None}}


def test_all_that_is_no_day_in_a_manifest_file_is_named() -> None:
    stated: dict[str, Any] = {
        "source": {"valid_to": 2020, "rows": 5, "parameters": {"until": 2020}},
        "caveats": [{"what": "x", "since": "2019", "until": "2020-01-01"}],
        "privacy": {"retention_until": "1.2.2031"},
    }
    with pytest.raises(InvalidFile) as refused:
        check_days(stated, what="m.yaml")
    assert [one.split(",")[0] for one in refused.value.things] == [
        "source.valid_to is 2020",
        "caveats.since is 2019",
        "privacy.retention_until is 1.2.2031",
    ]
    assert str(refused.value.things[0]).endswith("as 2020-12-31")
    assert str(refused.value.things[2]).endswith("as 2031-02-01")


@pytest.mark.parametrize("year", ["2020", 2020])
def test_a_year_that_was_stated_once_is_its_last_day(year: object) -> None:
    manifest = {
        "format": "datakeep/dataset/1", "name": "pii", "backend": "git", "privacy": {"retention_until": year},
        "source": {"kind": "files", "valid_from": year},
    }  # fmt: skip
    fields = {
        "format": "datakeep/version/1", "dataset": "pii", "version": "v1", "repository": "ssh://git/x.git",
        "commit": "4f" * 20, "content": f"sha256:{'88' * 32}", "inventory": f"sha256:{'88' * 32}", "files": 1,
        "size_bytes": 1, "stores": [], "registered_at": "2026-11-20T03:10:00Z", "registered_by": "a@x", "message": "",
        "manifest": manifest,
    }  # fmt: skip
    version = VersionEntry.of(fields, what="x")
    told = version.manifest_model()
    assert told.privacy
    assert told.source
    assert kept_until(version) == told.privacy.retention_until == date(2020, 12, 31)
    assert told.source.valid_from == date(2020, 1, 1)
