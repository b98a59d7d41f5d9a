"""Who is added to a keep: nobody silently in place of somebody else, and nobody without a usable e-mail."""

from __future__ import annotations

from datetime import date

import pytest

from datakeep.core.errors import UsageError
from datakeep.formats.person import looks_like_mail
from datakeep.workflows import people
from datakeep.workflows.listing import list_datasets
from datakeep.workflows.show import show


def add(bench, name=None, email=None):
    return people.add(bench.keep, name=name, email=email, line=None, who=bench.aiko, now=bench.now)


@pytest.mark.parametrize(
    ("name", "email", "what", "step"),
    [
        ("Ken", None, "you are Aiko Tanaka", "--name Ken --email MAIL"),
        (None, "ken@corp.example", "no name is given", "--name NAME --email ken@corp.example"),
        ("Ken", "ken@x", "'ken@x' is not an e-mail", "ken@corp.example"),
        ("Ken", "aiko@corp.example", "by the name of 'Aiko Tanaka'", "people/aiko.yaml"),
    ],
)
def test_what_is_half_said_of_somebody_is_refused(bench, name, email, what, step):
    before = bench.keep.repository.head()
    with pytest.raises(UsageError) as caught:
        add(bench, name, email)
    assert what in caught.value.what
    assert step in caught.value.next_step
    assert bench.keep.repository.head() == before


def test_what_is_fully_said_is_done(bench):
    assert add(bench, "Ken Sato", "ken@corp.example").handle == "ken"
    assert not add(bench, None, "ken@corp.example").changed
    assert not add(bench, "Aiko Tanaka").changed
    assert not add(bench).changed


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("ken@corp.example", True), ("ken.sato+data@mail.corp.example", True), ("健@例え.jp", True),
        ("ken@x", False), ("ken@corp.", False), ("ken@.example", False), ("ken@corp..example", False),
        ("@corp.example", False), ("ken", False), ("ken@corp.example,mori@corp.example", False),
    ],
)  # fmt: skip
def test_the_form_of_an_email(text, fits):
    assert looks_like_mail(text) is fits


def test_list_and_show_say_that_the_owner_departed(bench):
    bench.register()
    assert show(bench.keep, "orders", now=bench.now).owner_departed is None
    add(bench, "Ken Sato", "ken@corp.example")
    people.depart(bench.keep, "aiko", on=date(2026, 11, 20), who=bench.aiko, now=bench.now)
    assert show(bench.keep, "orders", now=bench.now).owner_departed == date(2026, 11, 20)
    assert [one.owner_departed for one in list_datasets(bench.keep, now=bench.now)] == [date(2026, 11, 20)]
