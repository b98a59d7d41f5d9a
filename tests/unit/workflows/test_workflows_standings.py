"""What proofs are worth: judged by the keep as it was when they came in."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest

from datakeep.repository import working
from datakeep.workflows import people
from datakeep.workflows.alike import proven_alike
from datakeep.workflows.listing import list_datasets
from datakeep.workflows.show import show
from datakeep.workflows.standings import Judge, standings
from datakeep.workflows.status import keep_status


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


def test_when_proofs_came_in_is_remembered_of_one_head(bench, monkeypatch):
    entry = bench.register()
    bench.prove(entry)
    before = state(bench, entry)
    walks = []
    walk = working.additions
    monkeypatch.setattr(working, "additions", lambda *given: walks.append(given) or walk(*given))
    assert state(bench, entry) == before
    assert walks == []
    bench.prove(entry, "aiko")
    assert len(state(bench, entry).proofs) == 2
    assert state(bench, entry).state == "proven"
    assert len(walks) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", "HEAD", "another head"])
def test_a_memory_that_is_damaged_or_of_another_head_is_not_believed(bench, text):
    entry = bench.register()
    bench.prove(entry)
    before = state(bench, entry)
    cache = bench.keep.cache("proofs-came-in.json")
    data = json.loads(cache.read_text())
    data |= {"commit": "ab" * 20} if text == "another head" else {}
    data["files"] = dict.fromkeys(data["files"], 7 if text == "HEAD" else 0)
    data["commits"] = [["ab" * 20, 0, ""]] if text == "another head" else data["commits"]
    cache.write_text(json.dumps(data) if "HEAD" in text or "head" in text else text)
    assert state(bench, entry) == before
    assert before.state == "proven"


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


def test_the_owners_failed_check_stands_beside_a_proof_and_hides_it_not(bench):
    entry = bench.register()
    bench.prove(entry, "ken", at=bench.now - timedelta(hours=3))
    bench.prove(entry, "aiko", at=bench.now - timedelta(hours=2), passed=False)
    found = state(bench, entry)
    assert (found.state, found.proven_by, len(found.failed_since)) == ("proven", ("ken",), 1)
    assert list_datasets(bench.keep, now=bench.now)[0].failed_since
    said = {one.kind: one.what for one in keep_status(bench.keep, now=bench.now).findings}
    assert said["failed-since"].startswith("proven by ken; since then the verification by Aiko Tanaka failed")
    bench.prove(entry, "aiko")
    assert state(bench, entry).failed_since == ()


def test_the_owners_newer_failure_does_not_hide_that_a_handover_failed(bench):
    entry = bench.register()
    bench.prove(entry, "ken", at=bench.now - timedelta(hours=3))
    bench.prove(entry, "ken", at=bench.now - timedelta(hours=2), passed=False)
    bench.prove(entry, "aiko", passed=False)
    assert state(bench, entry).state == "failed"
    bench.prove(entry, "aiko", at=bench.now - timedelta(minutes=5))
    assert (state(bench, entry).state, state(bench, entry).proven_by) == ("self-checked", ())


def test_a_version_of_other_facts_only_says_that_the_one_before_is_proven(bench):
    bench.prove(bench.register())
    bench.update(purpose="another")
    shown = show(bench.keep, "orders", now=bench.now)
    assert (shown.proofs.state, shown.alike.version) == ("unproven", "v1")
    said = " ".join(one.what for one in keep_status(bench.keep, now=bench.now).findings)
    assert "v1, with the same bytes and reference, is proven" in said
    (bench.source / "new.txt").write_text("new")
    bench.update(source=bench.source)
    assert show(bench.keep, "orders", now=bench.now).alike is None


def test_the_first_reference_proves_the_versions_before_it_that_have_the_same_bytes(bench):
    """They state none, so that nobody could ever prove them themselves."""
    first = bench.register()
    bench.update(purpose="another")
    text = bench.keep.tree.read("register/orders/v2.yaml").decode()
    assert "\nmanifest:\n" in text
    stated = text.replace("\nmanifest:\n", "\nmanifest:\n  reference:\n    command: python train.py\n")
    bench.commit(**{"register/orders/v2.yaml": stated})
    judge = Judge(bench.keep, bench.now)
    assert proven_alike(bench.keep, first, judge) is None
    bench.prove(bench.keep.entry("orders@v2"))
    found = proven_alike(bench.keep, first, Judge(bench.keep, bench.now))
    assert str(found) == "v2, with the same bytes and the reference that is missing here, is proven"
    other = first.model_copy(update={"content": f"sha256:{'0' * 64}"})
    assert proven_alike(bench.keep, other, Judge(bench.keep, bench.now)) is None


def test_a_copy_of_a_proof_under_another_name_is_the_same_proof(bench):
    entry = bench.register()
    path = bench.prove(entry)
    before = state(bench, entry)
    folder = path.rpartition("/")[0]
    copy = bench.keep.tree.read(path).decode()
    time.sleep(1.1)  # commits tell seconds
    bench.commit(**{f"{folder}/{name}.dsse.json": copy for name in ("0", "zz")})
    assert [one.path for one in before.proofs] == [path]
    assert state(bench, entry) == before
