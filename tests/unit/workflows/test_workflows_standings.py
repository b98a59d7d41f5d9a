"""What proofs are worth: judged by the keep as it was when they came in."""

from __future__ import annotations

from datetime import timedelta

from datakeep.workflows import people
from datakeep.workflows.listing import list_datasets
from datakeep.workflows.show import show
from datakeep.workflows.standings import standings


def state(bench, entry):
    return standings(bench.keep, entry, now=bench.now)


def test_nobody_has_proven_a_fresh_version(bench):
    found = state(bench, bench.register())
    assert (found.state, found.proven_by, found.newest) == ("unproven", (), None)


def test_the_owner_proves_no_handover_but_another_does_and_counts_once(bench):
    entry = bench.register()
    bench.prove(entry, "aiko")
    assert state(bench, entry).state == "self-checked"
    bench.prove(entry, "ken", at=bench.now - timedelta(hours=3))
    bench.prove(entry, "ken")
    found = state(bench, entry)
    assert (found.state, found.proven_by) == ("proven", ("ken",))
    listed = list_datasets(bench.keep, now=bench.now)[0]
    assert (listed.state, listed.proven_by, listed.files) == ("proven", 1, 3)


def test_a_failure_after_a_pass_is_what_counts_and_the_other_way_round(bench):
    entry = bench.register()
    bench.prove(entry, at=bench.now - timedelta(hours=3))
    bench.prove(entry, at=bench.now - timedelta(hours=2), passed=False)
    assert state(bench, entry).state == "failed"
    bench.prove(entry)
    assert state(bench, entry).state == "proven"


def test_a_proof_expires_by_the_policy(bench):
    entry = bench.register()
    bench.prove(entry)
    assert standings(bench.keep, entry, now=bench.now + timedelta(days=179)).state == "proven"
    assert standings(bench.keep, entry, now=bench.now + timedelta(days=181)).state == "expired"


def test_a_proof_of_another_version_or_a_changed_one_proves_nothing(bench):
    entry = bench.register()
    other = bench.update(purpose="another")
    path = bench.prove(entry, about=other)
    assert [proof.standing.status for proof in state(bench, entry).proofs] == ["invalid"]
    good = bench.prove(other)
    assert state(bench, other).state == "proven"
    text = bench.keep.tree.read(good).decode()
    bench.commit(
        **{good: text.replace('"payload": "ey', '"payload": "eY').replace('"payload":"ey', '"payload":"eY')}
    )
    assert state(bench, other).state == "unproven"
    assert path != good


def test_a_key_that_is_taken_out_later_still_proves_what_it_proved(bench):
    entry = bench.register()
    bench.prove(entry)
    bench.commit(**{"people/ken.yaml": None})
    assert state(bench, entry).state == "proven"


def test_a_key_that_comes_in_after_the_proof_does_not_count(bench):
    entry = bench.register()
    bench.person("ken")
    person = bench.keep.tree.read("people/ken.yaml").decode()
    bench.commit(**{"people/ken.yaml": None})
    bench.prove(entry)
    bench.commit(**{"people/ken.yaml": person})
    assert state(bench, entry).state == "unproven"


def test_a_departed_owner_does_not_undo_proofs(bench):
    entry = bench.register()
    bench.prove(entry)
    people.depart(bench.keep, "aiko", on=bench.now.date(), who=bench.aiko, now=bench.now)
    assert state(bench, entry).proven_by == ("ken",)


def test_show_says_what_is_unknown_and_what_nobody_stated(bench):
    bench.register()
    facts = {one.field: one for one in show(bench.keep, "orders", now=bench.now).facts}
    assert facts["privacy.personal"].values == ("unknown",)
    assert facts["caveats"].values == ("not stated",)
    assert facts["source.extracted_by"].values == ("not stated",)
    assert not facts["privacy.personal"].is_known
    assert facts["license"].is_known


def test_show_names_the_stores_of_the_entry(bench):
    bench.register()
    assert show(bench.keep, "orders@v1", now=bench.now).places == (("main", str(bench.store)),)
