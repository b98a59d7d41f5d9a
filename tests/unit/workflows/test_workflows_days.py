"""A year is no day: it is refused where it is stated, and what was stated once is its first day or its last."""

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
        ("source.extracted_at", "1577836800", "--extracted-at 2030-01-01"),
    ],
)
def test_a_number_is_refused_where_an_option_states_it(path: str, stated: str, day: str) -> None:
    with pytest.raises(UsageError) as refused:
        facts.state({}, {path: stated})
    assert refused.value.next_step == f"write {day}"


@pytest.mark.parametrize("day", ["2020-01-31", "2020-01-31T10:00:00+09:00", "2020-01-31 10:00"])
def test_a_day_and_a_moment_are_none(day: str) -> None:
    document: dict[str, Any] = {}
    facts.state(document, {"privacy.retention_until": day})
    check_days(document, what="x.yaml")
    assert document == {"privacy": {"retention_until": day}}


def test_all_numbers_of_a_manifest_file_are_named() -> None:
    stated: dict[str, Any] = {
        "source": {"valid_to": 2020, "rows": 5, "parameters": {"until": 2020}},
        "caveats": [{"what": "x", "since": "2019", "until": "2020-01-01"}],
    }
    with pytest.raises(InvalidFile) as refused:
        check_days(stated, what="m.yaml")
    assert [one.split(",")[0] for one in refused.value.things] == [
        "source.valid_to is 2020",
        "caveats.since is 2019",
    ]
    assert str(refused.value.things[0]).endswith("as 2020-12-31")


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
