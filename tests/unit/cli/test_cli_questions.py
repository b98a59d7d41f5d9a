"""What is printed when a question cannot be answered: the next command is one that helps."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from datakeep.cli.group import datakeep
from datakeep.cli.listing import _row
from datakeep.cli.people import _state as state_of_person
from datakeep.cli.status import _get
from datakeep.cli.vault import _state as state_of_place
from datakeep.core.errors import UsageError
from datakeep.core.names import parse_reference
from datakeep.workflows.vault_stores import Place


@pytest.mark.parametrize("text", ["@v1", "", "Orders!"])
def test_a_malformed_name_that_is_looked_for_leads_to_the_list(text):
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert caught.value.next_step == "datakeep list"


def test_a_missing_checkout_is_made_where_it_was_looked_for(tmp_path):
    assert _get("orders@v1", None) == "datakeep checkout orders@v1"
    assert _get("orders@v1", tmp_path / "no pe") == f"datakeep checkout orders@v1 '{tmp_path}/no pe'"
    (tmp_path / "other").write_text("")
    assert "datakeep status orders --dir DIR" in _get("orders@v1", tmp_path)


def test_list_says_that_an_owner_departed():
    one = SimpleNamespace(
        name="orders", version="v1", owner="Aiko", files=1, size_bytes=1, purpose="p", failed_since=False,
        state="unproven", proven_by=0, owner_departed=date(2026, 11, 20),
    )  # fmt: skip
    assert "Aiko (departed)" in _row(one)


@pytest.mark.parametrize("group", ["people", "key", "proof", "vault"])
def test_the_help_of_every_group_has_an_example_on_lines_of_its_own(group):
    said = CliRunner().invoke(datakeep, [group, "--help"]).output
    assert f"Example:\n    datakeep {group} " in said


def test_people_whose_email_is_malformed_are_marked():
    person = SimpleNamespace(email="ken@x", departed=None)
    assert state_of_person(person) == "active, the e-mail is malformed"
    person = SimpleNamespace(email="ken@corp.example", departed=date(2026, 11, 20))
    assert state_of_person(person) == "departed 2026-11-20"


def test_a_store_that_cannot_be_written_is_read_only():
    assert (
        state_of_place(Place("nas", "/mnt", 5_000_000_000, None, writable=False)) == "read-only, 5.0 GB free"
    )
    assert state_of_place(Place("s3", "s3://b", None, None, writable=True)) == "reachable"
    assert state_of_place(Place("nas", "/mnt", None, "is missing")) == "is missing"
