"""One file that cannot be read takes nothing else away, and makes nothing more trusted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from datakeep.core.errors import AccessDenied, Conflict, InvalidFile, UnknownName
from datakeep.repository.identity import Identity
from datakeep.workflows import people
from datakeep.workflows.checkout_status import checkout_status
from datakeep.workflows.history import history
from datakeep.workflows.listing import list_datasets
from datakeep.workflows.show import show
from datakeep.workflows.standings import standings
from datakeep.workflows.status import keep_status

BROKEN = "people/ken.yaml"


class Warned:
    """A progress that keeps what it was warned of."""

    def __init__(self, keep):
        self.lines = []
        keep.progress = self

    def warn(self, text):
        self.lines.append(text)

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


def break_person(bench, handle="ken"):
    text = bench.keep.tree.read(f"people/{handle}.yaml").decode()
    bench.commit(**{f"people/{handle}.yaml": f"{text}\nkeys: [\n"})


@pytest.fixture
def two(bench):
    """Two versions, of which the newer cannot be read."""
    bench.register()
    bench.update(purpose="another")
    bench.commit(**{"register/orders/v2.yaml": "format: ["})
    return bench


@pytest.mark.parametrize("text", ["format: [", "format: datakeep/version/1\nfiles: many\n", "just words"])
def test_a_broken_newest_entry_leaves_the_older_one_listed_and_is_named(two, text):
    two.commit(**{"register/orders/v2.yaml": text})
    warned = Warned(two.keep)
    listed = list_datasets(two.keep, now=two.now)
    assert [(one.name, one.version, one.unreadable) for one in listed] == [("orders", "v1", ("v2",))]
    assert len(warned.lines) == 1
    assert "register/orders/v2.yaml" in warned.lines[0]
    assert "v1" in warned.lines[0]


def test_show_falls_back_with_a_warning_but_a_named_version_does_not(two):
    warned = Warned(two.keep)
    assert show(two.keep, "orders", now=two.now).entry.version == "v1"
    assert "register/orders/v2.yaml" in warned.lines[0]
    with pytest.raises(InvalidFile, match=r"register/orders/v2\.yaml"):
        show(two.keep, "orders@v2", now=two.now)


def test_log_marks_the_broken_version_among_the_others(two):
    newest, oldest = history(two.keep, "orders")
    assert (newest.version, newest.files) == ("v2", None)
    assert "register/orders/v2.yaml" in newest.fault
    assert (oldest.version, oldest.files, oldest.fault) == ("v1", 3, None)


def test_an_owner_that_is_no_person_stops_no_list(bench):
    bench.register()
    text = bench.keep.tree.read("register/orders/v1.yaml").decode()
    before, _, rest = text.partition("  owner:\n")
    after = rest.split("\n", 2)[2]
    bench.commit(**{"register/orders/v1.yaml": f"{before}  owner: aiko\n{after}"})
    assert list_datasets(bench.keep, now=bench.now)[0].owner == "not stated"
    assert "broken-entry" in {one.kind for one in keep_status(bench.keep, now=bench.now).findings}


def test_a_broken_person_is_a_finding_and_others_go_on(bench):
    entry = bench.register()
    bench.prove(entry)
    break_person(bench)
    found = {one.kind: one for one in keep_status(bench.keep, now=bench.now).findings}
    assert found["broken-person"].thing == BROKEN
    assert found["broken-person"].next_step.endswith(f"git log -- {BROKEN}")
    warned = Warned(bench.keep)
    assert bench.register("other").version == "v1"
    assert any(BROKEN in line for line in warned.lines)
    assert list(bench.keep.people) == ["aiko"]


def test_a_signature_by_somebody_who_cannot_be_read_is_unknown_and_says_why(bench):
    entry = bench.register()
    bench.person("ken")
    break_person(bench)
    bench.prove(entry, "ken")
    standing = standings(bench.keep, entry, now=bench.now).proofs[0].standing
    assert standing.status == "invalid"
    assert "unknown key" in standing.reason
    assert BROKEN in standing.reason


def test_a_broken_file_of_somebody_else_takes_no_proof_away(bench):
    entry = bench.register()
    bench.person("ken")
    break_person(bench, "aiko")
    bench.prove(entry, "ken")
    assert standings(bench.keep, entry, now=bench.now).state == "proven"


def test_a_key_that_also_stands_in_a_broken_file_proves_nothing(bench):
    entry = bench.register()
    line = bench.person("ken").public_line
    bench.commit(**{"people/mori.yaml": f"keys:\n- key: {line}\n  revoked: 2026-01-01\n  [\n"})
    bench.prove(entry, "ken")
    standing = standings(bench.keep, entry, now=bench.now).proofs[0].standing
    assert standing.status == "invalid"
    assert "people/mori.yaml" in standing.reason


def test_nobody_is_added_while_a_file_might_be_theirs(bench):
    bench.person("ken")
    break_person(bench)
    with pytest.raises(InvalidFile, match=BROKEN):
        people.add(bench.keep, name="Ken", email="ken@corp.example", line=None, who=bench.aiko, now=bench.now)


def test_who_has_departed_registers_nothing_broken_file_or_not(bench):
    bench.person("ken")
    bench.register()
    people.depart(bench.keep, "aiko", on=bench.now.date(), who=bench.aiko, now=bench.now)
    with pytest.raises(AccessDenied, match="only another person") as caught:
        bench.update(purpose="another")
    assert "ask ken to run: datakeep people add --email aiko@corp.example" in caught.value.next_step
    with pytest.raises(AccessDenied):
        bench.register("other")
    break_person(bench, "aiko")
    with pytest.raises(InvalidFile, match=r"people/aiko\.yaml"):
        bench.update(purpose="another")


def test_capitals_in_an_e_mail_bring_nobody_back_and_a_later_last_day_stops_nobody(bench):
    bench.person("ken")
    later = bench.now.date() + timedelta(days=30)
    people.depart(bench.keep, "aiko", on=later, who=bench.aiko, now=bench.now)
    bench.register()
    people.depart(bench.keep, "aiko", on=bench.now.date(), who=bench.aiko, now=bench.now)
    with pytest.raises(AccessDenied):
        bench.keep.require_not_departed(Identity("Aiko", "Aiko@Corp.example"), bench.now)


def test_the_last_active_person_cannot_depart(bench):
    with pytest.raises(Conflict, match="last active"):
        people.depart(bench.keep, "aiko", on=bench.now.date(), who=bench.aiko, now=bench.now)


def test_an_older_checkout_is_told_though_another_entry_is_broken(two):
    two.commit(**{"register/orders/v3.yaml": "["})
    with pytest.raises(InvalidFile):
        checkout_status(two.keep, "orders@v2")
    assert checkout_status(two.keep, "orders").entry.version == "v1"


def test_an_unknown_name_says_whether_something_newer_is_published(bench, tmp_path):
    bench.register()
    with pytest.raises(UnknownName, match="nothing newer is published"):
        bench.keep.resolve("order")
    import subprocess

    git = ["git", "-C", str(tmp_path / "other")]
    subprocess.run(["git", "clone", "-q", bench.keep.published_url, tmp_path / "other"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "elsewhere"], check=True)
    subprocess.run([*git, "push", "-q", "origin", "HEAD:main"], check=True)
    warned = Warned(bench.keep)
    list_datasets(bench.keep, now=bench.now)
    assert warned.lines == []  # nobody was asked
    for name in ("new", "orders@v9"):
        with pytest.raises(UnknownName, match="lacks 1 published commit") as caught:
            bench.keep.resolve(name)
        assert f"git -C {bench.keep.root} pull" in caught.value.next_step
    list_datasets(bench.keep, now=bench.now)
    assert "1 published commit not shown here yet" in warned.lines[0]  # that look has fetched it
    (bench.folder / "keep.vault").rename(bench.folder / "gone")
    with pytest.raises(UnknownName, match="is not known"):
        bench.keep.resolve("new")
