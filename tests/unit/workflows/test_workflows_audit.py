"""``audit``: what a model was made of, and what is not known of it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys

import pytest

from datakeep.cli.audit import _answer as answer
from datakeep.core.digests import path_list_id
from datakeep.core.errors import UnknownName, UsageError
from datakeep.exchange.page import page
from datakeep.formats.model import ModelRecord
from datakeep.store import hashing
from datakeep.workflows.audit import audit
from datakeep.workflows.audit_diff import audit_diff
from datakeep.workflows.audit_policy import audit_policy
from datakeep.workflows.exported import answer_of
from datakeep.workflows.tampering import behind_an_audit

SQL = "SELECT id, 金額 FROM sales.orders\n"


@pytest.fixture
def modelled(bench):
    """A dataset with SQL and annotation rules, and a model file ``churn@v1`` that was made of it."""
    query, rules = bench.folder / "q.sql", bench.folder / "rules.md"
    query.write_text(SQL)
    rules.write_text("# 規則\n")
    bench.entry = bench.register(
        source__kind="sql", source__origin=None, source__query=str(query),
        source__database="postgresql://dwh.corp.example/plant", annotation__none=None,
        annotation__rules=str(rules), caveats=["dummy rows"],
    )  # fmt: skip
    bench.model = bench.folder / "churn.joblib"
    bench.model.write_bytes(b"a model")
    bench.record = lambda **changes: record(bench, **changes)
    bench.record()
    return bench


def record(bench, model="churn", version="v1", data=b"a model", **changes):
    entry = bench.entry
    given = {
        "dataset": entry.dataset,
        "version": entry.version,
        "commit": entry.commit,
        "content": entry.content,
        "how": "observed",
        "files_read": {"count": 2},
    }
    fields = {
        "format": "datakeep/model/1",
        "model": model,
        "version": version,
        "artifacts": [{"path": "m", "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}],
        "inputs": [given | changes.pop("given", {})],
        "code": {"url": "ssh://git/code", "commit": "4f" * 20},
        "command": ["python", "train.py"],
        "metrics": {"accuracy": "0.953"},
        "environment": {"kind": "uv", "lock": "sha256:ab", "python": "3.11.9"},
        "resources": {},
        "origin": "verification",
        "unknown": ["seed"],
    }
    made = ModelRecord.of(fields | changes, what="a record")
    bench.commit(**{f"models/{model}/{version}.yaml": made.dump()})


def ask(bench, subject):
    return audit(bench.keep, str(subject), now=bench.now)


def test_the_same_contents_under_two_versions_are_no_different_data(modelled):
    modelled.record(model="again", given={"version": "v2"})
    assert ask(modelled, modelled.model).differing == ()
    modelled.record(model="other", given={"version": "v3", "content": f"sha256:{'0' * 64}"})
    assert len(ask(modelled, modelled.model).differing) == 3


def test_a_renamed_copy_is_found_with_its_data_sql_rules_caveats_and_proofs(modelled):
    modelled.prove(modelled.entry)
    copy = modelled.folder / "別名.bin"
    copy.write_bytes(modelled.model.read_bytes())
    found = ask(modelled, copy)
    assert found.made_of.record.model == "churn"
    (given,) = found.made_of.inputs
    assert given.query == SQL
    assert given.rules == "# 規則\n"
    assert given.entry == modelled.entry
    assert given.proofs.proven_by == ("ken",)
    facts = {one.field: one.text for one in given.facts}
    assert facts["caveats"] == "dummy rows"
    assert facts["owner"] == "Aiko Tanaka <aiko@corp.example>"
    assert facts["source.extracted_at"] == "2026-11-20"


def test_what_is_not_known_is_listed(modelled):
    found = ask(modelled, modelled.model).made_of
    assert "seed" in found.unknown
    assert "personal data: unknown" in found.inputs[0].unknown
    assert "extracted by: not stated" in found.inputs[0].unknown


def test_a_link_to_the_file_will_do(modelled):
    link = modelled.folder / "latest"
    link.symlink_to(modelled.model)
    assert ask(modelled, link).made_of is not None


def test_one_flipped_byte_is_another_file_and_not_known(modelled):
    modelled.model.write_bytes(b"A model")
    found = ask(modelled, modelled.model)
    assert found.made_of is None
    assert found.sha256 == hashlib.sha256(b"A model").hexdigest()


def test_not_known_says_which_records_could_not_be_read(modelled):
    modelled.commit(**{"models/old/v1.yaml": "format: ["})
    modelled.model.write_bytes(b"another")
    found = ask(modelled, modelled.model)
    assert found.made_of is None
    assert [one.path for one in found.broken] == ["models/old/v1.yaml"]


def test_by_name_by_version_and_with_a_prefix(modelled):
    modelled.record(version="v2", data=b"newer")
    assert ask(modelled, "churn").made_of.record.version == "v2"
    assert ask(modelled, "churn@v1").made_of.record.version == "v1"
    assert ask(modelled, "model:churn").made_of.record.version == "v2"
    with pytest.raises(UnknownName, match="no version v9"):
        ask(modelled, "churn@v9")
    with pytest.raises(UnknownName, match="did you mean 'churn'"):
        ask(modelled, "model:chrun")
    with pytest.raises(UsageError):
        ask(modelled, "churn@latest")


def test_a_name_of_both_a_model_and_a_dataset_is_refused_with_both_ways_out(modelled):
    modelled.record(model="orders", data=b"other")
    with pytest.raises(UsageError) as caught:
        ask(modelled, "orders")
    assert "model:orders" in caught.value.next_step
    assert "dataset:orders" in caught.value.next_step
    assert ask(modelled, "model:orders").made_of.record.model == "orders"


def test_a_dataset_tells_which_models_it_went_into(modelled):
    modelled.record(model="second", data=b"2")
    assert [one.model for one in ask(modelled, "orders").records] == ["churn", "second"]
    assert ask(modelled, "dataset:orders@v1").version == "v1"
    modelled.update(purpose="again")
    again = ask(modelled, "orders@v2")  # other facts, the same bytes
    assert [one.model for one in again.records] == ["churn", "second"]
    assert again.alike == ("orders@v1",)


def test_a_record_that_names_an_earlier_name_of_the_dataset_is_told_too(modelled):
    modelled.record(model="older", data=b"o", given={"dataset": "sales"})
    modelled.update(aliases=["sales"])
    found = ask(modelled, "orders")
    assert [one.model for one in found.records] == ["churn", "older"]
    assert found.through == ()


def test_a_file_of_the_same_name_is_not_taken_for_the_model(modelled, monkeypatch):
    monkeypatch.chdir(modelled.folder)
    (modelled.folder / "churn").write_bytes(b"something else")
    with pytest.raises(UsageError, match=r"\./churn"):
        ask(modelled, "churn")
    assert ask(modelled, "./churn").made_of is None


def test_a_folder_and_nothing_at_all_are_errors(modelled):
    with pytest.raises(UsageError, match="is a folder"):
        ask(modelled, modelled.folder)
    with pytest.raises(UnknownName):
        ask(modelled, "absent.joblib")


def test_each_file_of_a_folder_is_hashed_once_whether_its_record_is_there_or_was_deleted(
    modelled, monkeypatch
):
    hashed = []

    def hash_file(path):
        hashed.append(path.name)
        return store_hashing(path)

    store_hashing = hashing.hash_file
    monkeypatch.setattr(hashing, "hash_file", hash_file)
    folder = modelled.folder / "checkpoint"
    folder.mkdir()
    modelled.model.rename(folder / "m.joblib")
    (folder / "notes.txt").write_text("other")
    artifact = {"path": "m.joblib", "sha256": hashlib.sha256(b"a model").hexdigest(), "size_bytes": 7}
    modelled.record(artifacts=[artifact])
    assert ask(modelled, folder).made_of.record.label == "churn@v1"
    assert sorted(hashed) == ["m.joblib", "notes.txt"]
    modelled.commit(**{"models/churn/v1.yaml": None})
    hashed.clear()
    told = ask(modelled, folder)
    assert told.made_of is None
    assert told.asked.endswith("m.joblib")
    assert sorted(hashed) == [
        "m.joblib",
        "m.joblib",
        "notes.txt",
    ]  # once for the folder, once for the file's own answer


def test_a_version_whose_entry_says_otherwise_is_not_passed_off_as_the_data(modelled):
    modelled.record(version="v2", data=b"v2", given={"content": f"sha256:{'00' * 32}"})
    (given,) = ask(modelled, "churn@v2").made_of.inputs
    assert given.entry is None
    assert "other contents" in given.unknown[0]


def test_base_models_are_followed_and_a_circle_ends(modelled):
    modelled.record(model="resnet", data=b"base", base_models=["churn@v2"])
    modelled.record(version="v2", data=b"v2", base_models=["resnet@v1", "absent@v1"])
    found = ask(modelled, "churn@v2").made_of
    assert [base.record.model for base in found.base_models] == ["resnet"]
    assert any("absent@v1" in line for line in found.unknown)
    assert any("churn@v2" in line for line in found.base_models[0].unknown)


def test_sql_that_cannot_be_read_now_is_said_and_the_rest_answers(modelled):
    shutil.rmtree(modelled.keep.cache("datasets"))
    (modelled.folder / "keep.vault" / "git").rename(modelled.folder / "gone")
    (given,) = ask(modelled, modelled.model).made_of.inputs
    assert given.query is None
    assert any("text of the SQL" in line for line in given.unknown)
    assert given.facts


def test_a_derived_dataset_leads_to_the_sql_of_its_parent_and_a_lost_parent_is_said(modelled):
    modelled.entry = modelled.register(
        "features", source__kind="derived", source__origin=None, source__command="make features",
        source__parents=["orders@v1", "external:weather"],
    )  # fmt: skip
    modelled.record(model="made", data=b"made")
    (given,) = ask(modelled, "model:made").made_of.inputs
    (parent,) = given.parents
    assert parent.query == SQL
    assert any("external:weather" in line for line in given.unknown)
    modelled.commit(**{"register/orders/v1.yaml": None})
    (given,) = ask(modelled, "model:made").made_of.inputs
    assert given.parents == ()
    assert any("what its parent orders@v1 was made of" in line for line in given.unknown)


def test_a_chain_of_base_models_and_derived_data_ends_at_the_sql_and_a_missing_link_is_said(modelled):
    """raw (SQL) → features → base → tuned → final."""
    raw = modelled.entry
    modelled.entry = modelled.register(
        "features", source__kind="derived", source__origin=None, source__command="make features",
        source__parents=["orders@v1"],
    )  # fmt: skip
    modelled.record(model="base", data=b"base")
    modelled.entry = raw
    modelled.record(model="tuned", data=b"tuned", base_models=["base@v1"], inputs=[])
    modelled.record(model="final", data=b"final", base_models=["tuned@v1"], inputs=[])
    found = ask(modelled, "model:final")
    assert behind_an_audit(modelled.keep, found, now=modelled.now) == ()
    tuned = found.made_of.base_models[0]
    assert tuned.base_models[0].inputs[0].parents[0].query == SQL
    modelled.commit(**{"models/tuned/v1.yaml": None})
    found = ask(modelled, "model:final")
    assert found.made_of.base_models == ()
    assert any("tuned@v1 was made of" in line for line in found.made_of.unknown)
    (gone,) = behind_an_audit(modelled.keep, found, now=modelled.now)
    assert gone.what == "models/tuned/v1.yaml was deleted after it was recorded"


def test_a_hundred_broken_entries_and_records_take_nothing_else_away(modelled):
    broken = {f"register/broken-{number}/v1.yaml": "format: [" for number in range(100)}
    broken |= {f"models/broken-{number}/v1.yaml": f"sha256: {number}" for number in range(100)}
    modelled.commit(**broken)
    found = ask(modelled, modelled.model)
    assert found.made_of.record.model == "churn"
    assert found.made_of.inputs[0].query == SQL
    assert behind_an_audit(modelled.keep, found, now=modelled.now) == ()
    assert [one.model for one in ask(modelled, "dataset:orders").records] == ["churn"]
    modelled.model.write_bytes(b"another")
    assert len(ask(modelled, modelled.model).broken) == 100


HOOKED = {"origin": "run", "observed": {"by": "audit-hook", "why": "the process was running already"}}
TORN = {"origin": "run", "observed": {"by": "strace", "why": "not all could be written down"}}


@pytest.mark.parametrize(("blind", "says"), [(HOOKED, "Arrow"), (TORN, "could be written down")])
def test_what_was_not_seen_is_not_known_and_what_was_is_read(modelled, blind, says):
    entry = modelled.entry
    none = {"files_read": {"count": 0, "of": entry.files}}
    modelled.record(model="seen", data=b"s", given=none, origin="run", observed={"by": "strace"})
    modelled.record(model="hooked", data=b"h", given=none, **blind)
    whole = {"files_read": {"count": entry.files, "of": entry.files}}
    modelled.record(model="whole", data=b"w", given=whole, **blind)
    told = {one.model: one for one in ask(modelled, "orders@v1:a.txt").models}
    verdicts = {name: told[f"{name}@v1"].verdict for name in ("seen", "hooked", "whole")}
    assert verdicts == {"seen": "not read", "hooked": "not known", "whole": "read"}
    assert says in told["hooked@v1"].why
    found = ask(modelled, "model:hooked")
    graph = answer_of(modelled.keep, found, "model:hooked", now=modelled.now)
    assert "as far as was seen" in next(graph.into("model:hooked@v1")).note
    policy = audit_policy(modelled.keep, now=modelled.now)
    assert set(policy.unseen) == {"hooked@v1", "whole@v1"}
    assert "hooked@v1" in policy.unknown_files
    assert not {"seen@v1", "whole@v1"} & set(policy.unknown_files)


@pytest.mark.parametrize("watched", [HOOKED, TORN])
def test_what_was_not_seen_is_no_cause_of_a_difference(modelled, watched):
    count = modelled.entry.files
    whole, none = ({"files_read": {"count": number, "of": count}} for number in (count, 0))
    modelled.record(model="seen", given=whole, origin="run", observed={"by": "strace"})
    modelled.record(model="blind", given=none, origin="run", observed={"by": "strace"})
    modelled.record(model="hooked", given=none, undeclared=[], **watched)
    modelled.record(model="saw", given=whole, **watched)
    assert audit_diff(modelled.keep, "seen@v1", "blind@v1").causes == ("data",)
    found = audit_diff(modelled.keep, "seen@v1", "hooked@v1")
    assert found.causes == ()
    assert any("which files of orders@v1 each read" in line for line in found.unknown)
    assert audit_diff(modelled.keep, "hooked@v1", "seen@v1").causes == ()
    # What the hook did see was read.
    assert audit_diff(modelled.keep, "blind@v1", "saw@v1").causes == ("data",)


@pytest.mark.parametrize("subject", ["dataset:orders", "dataset:orders@v1", "model:churn"])
def test_an_audit_needs_no_arrow_and_one_process_of_git(bench, subject):
    bench.entry = bench.register("orders", backend="git")
    record(bench)
    argv = ["datakeep", "audit", subject, "-C", str(bench.keep.root)]
    code = (
        "import sys, subprocess\n"
        "started, start = [], subprocess.Popen.__init__\n"
        "def noted(self, *given, **named): started.append(given); start(self, *given, **named)\n"
        "subprocess.Popen.__init__ = noted\n"
        f"sys.argv = {argv!r}\n"
        "from datakeep.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('loaded', len(started), *sorted(sys.modules))"
    )
    for _ in range(2):  # the first makes the index, and looks through the history
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    _, count, *loaded = done.stdout.splitlines()[-1].split()
    assert count == "1", done.stdout
    assert "datakeep.formats.model" in loaded
    tops = {name.partition(".")[0] for name in loaded}
    assert tops & {"pyarrow", "numpy", "boto3", "obstore", "dvc", "cryptography"} == set()


STRACE = {"origin": "run", "observed": {"by": "strace"}}


def filled(bench, name, files, **facts):
    """A dataset in git with ``files``, path to text."""
    for path, text in files.items():
        place = bench.folder / f"of-{name}" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return bench.register(name, "git", source=bench.folder / f"of-{name}", **facts)


def test_that_it_was_only_given_is_no_answer_where_a_record_cannot_be_read(modelled):
    """Exit code 4 and words that are no "no"; where all can be read, it is one."""
    none = {"files_read": {"count": 0, "of": modelled.entry.files}}
    modelled.record(given=none, **STRACE)
    for subject in ("dataset:orders", "orders@v1:a.txt"):
        assert not ask(modelled, subject).is_blind
        assert answer(ask(modelled, subject), subject, as_json=False).code == 0
    modelled.commit(**{"models/torn/v1.yaml": "format: ["})
    for subject in ("dataset:orders", "orders@v1:a.txt"):
        told = answer(ask(modelled, subject), subject, as_json=False)
        assert told.code == 4
        assert any("this is no 'no'" in line for line in told.lines)
    modelled.record(model="read", **STRACE)
    assert answer(ask(modelled, "dataset:orders"), "dataset:orders", as_json=False).code == 0


def test_a_path_that_holds_what_ends_a_line_elsewhere_is_found_in_the_list_of_what_was_read(bench):
    path = "two\u2028lines.csv"
    bench.entry = filled(bench, "odd", {path: "id\n1\n", "b.csv": "id\n2\n"})
    text = f"{path}\n"
    read = {"count": 1, "of": 2, "list": path_list_id([path]), "kept": "read/odd-v1.txt"}
    record(bench, given={"files_read": read}, **STRACE)
    bench.commit(**{"models/churn/v1/read/odd-v1.txt": text})
    found = ask(bench, f"odd:{path}")
    assert [one.verdict for one in found.models] == ["read"]
    assert behind_an_audit(bench.keep, found, now=bench.now) == ()


def test_a_folder_of_the_data_may_be_called_data(bench):
    bench.entry = filled(bench, "nested", {"data/x.csv": "id\n1\n", "x.csv": "id\n2\n", "y.csv": "id\n3\n"})
    for asked, path in (
        ("data/x.csv", "data/x.csv"),
        ("data/data/x.csv", "data/x.csv"),
        ("x.csv", "x.csv"),
        ("data/y.csv", "y.csv"),
    ):
        assert ask(bench, f"nested:{asked}").path == path


def test_of_the_very_many_files_with_the_same_bytes_those_that_nobody_looked_at_are_told(
    bench, monkeypatch, tmp_path
):
    monkeypatch.setattr("datakeep.workflows.registered_file._MAX_FILES", 1)
    rows = "id,name\n" + "1,x\n" * 30
    filled(bench, "first", {"a.csv": rows})
    bench.entry = filled(bench, "second", {"b.csv": rows})
    record(bench, given={"files_read": {"count": 1, "of": 1}}, **STRACE)
    file = tmp_path / "x.csv"
    file.write_text(rows)
    found = ask(bench, file)
    assert [one.dataset for one in found.files] == ["first"]
    assert found.not_looked_at == ("the same bytes as second:b.csv",)
    told, shown = (answer(found, str(file), as_json=as_json) for as_json in (True, False))
    assert told.data["not_looked_at"] == ["the same bytes as second:b.csv"]
    assert "  ? the same bytes as second:b.csv" in shown.lines
    graph = answer_of(bench.keep, found, "x.csv", now=bench.now)
    assert "not looked at: the same bytes as second:b.csv" in graph.unknown


def test_a_circle_of_base_models_is_called_one(modelled):
    modelled.record(model="resnet", data=b"base", base_models=["churn@v2"])
    modelled.record(version="v2", data=b"v2", base_models=["resnet@v1"])
    (base,) = ask(modelled, "churn@v2").made_of.base_models
    assert "what the base model churn@v2 was made of: the records lead back to it" in base.unknown


def test_whose_bytes_undeclared_files_have_is_not_known_without_the_lists_of_files(bench):
    rows = "id,name\n" + "1,x\n" * 30
    filled(bench, "personal", {"a.csv": rows})
    bench.entry = filled(bench, "other", {"b.csv": "id\n1\n"})
    digest = hashlib.sha256(rows.encode()).hexdigest()
    copy = {"path": "/tmp/copy.csv", "sha256": digest, "size_bytes": len(rows)}
    record(bench, undeclared=[copy], undeclared_count=1, **STRACE)
    assert ask(bench, "model:churn").made_of.same == (("/tmp/copy.csv", "personal@v1:a.csv"),)
    assert audit_policy(bench.keep, now=bench.now).not_looked_at == ()
    shutil.rmtree(bench.keep.cache("datasets"))
    for index in bench.keep.cache("x").parent.glob("index-*"):
        index.unlink()
    keep = bench.reopen()
    made = audit(keep, "model:churn", now=bench.now).made_of
    said = (
        "whose bytes undeclared files have: not searched: the file lists of 2 versions, not on this machine: "
    )
    assert said + "other@v1, personal@v1" in made.unknown
    assert any(one.startswith(said) for one in audit_policy(keep, now=bench.now).not_looked_at)
    made = audit(keep, "model:churn", now=bench.now, fetch=True).made_of
    assert made.same == (("/tmp/copy.csv", "personal@v1:a.csv"),)


def test_what_a_later_version_of_the_same_bytes_states_counts_though_a_newer_one_has_others(bench):
    bench.entry = filled(bench, "orders", {"a.csv": "id\n1\n"})
    record(bench, given={"files_read": {"count": 1, "of": 1}}, **STRACE)
    kinds = lambda: {one.kind for one in audit_policy(bench.keep, now=bench.now).complaints}  # noqa: E731
    assert "privacy" in kinds()
    bench.update(privacy__personal="no")
    assert "privacy" not in kinds()
    (bench.folder / "of-orders/a.csv").write_text("id\n2\n")
    bench.update(source=bench.folder / "of-orders")
    assert "privacy" not in kinds()
    bench.update(privacy__retention_until="2020-01-01")
    assert "expired" not in kinds()  # of other bytes than the model read


def test_the_page_of_a_file_does_not_say_of_one_that_was_given_the_data_that_it_read_it(bench):
    bench.entry = filled(bench, "orders", {"a.csv": "id\n1\n", "b.csv": "id\n2\n"})
    record(bench, model="given", given={"files_read": {"count": 0, "of": 2}}, **STRACE)
    record(bench, model="whole", given={"files_read": {"count": 2, "of": 2}}, **STRACE)
    for subject in ("orders@v1:a.csv", "dataset:orders"):
        graph = answer_of(bench.keep, ask(bench, subject), subject, now=bench.now)
        assert {edge.target: edge.is_unread for edge in graph.edges} == {
            "model:given@v1": True, "model:whole@v1": False,
        }  # fmt: skip
        shown = page(graph)
        assert "given to the training, which read nothing of it, observed" in shown
        assert shown.count("read by the training, observed") == 1


def test_what_was_derived_from_data_with_the_same_files_is_told_of_the_dataset_as_of_the_file(bench):
    rows = "id,name\n" + "5,Aiko\n" * 20
    filled(bench, "pii", {"p.csv": rows})
    filled(bench, "mix", {"q.csv": rows, "o.csv": "id\n" + "9\n" * 60})
    made = {"source__kind": "derived", "source__origin": None, "source__command": "make"}
    bench.entry = filled(bench, "feats", {"f.csv": "id\n" + "7\n" * 60}, **made, source__parents=["mix@v1"])
    record(bench, given={"files_read": {"count": 1, "of": 1}}, **STRACE)
    for subject in ("dataset:pii", "pii@v1"):
        found = ask(bench, subject)
        way = "pii@v1 → mix@v1 (has files of the same bytes) → feats@v1"
        assert [str(one) for one in found.derived] == [way]
        assert [str(one) for one in found.through] == [f"{way} → churn@v1"]
    assert [str(one.end) for one in ask(bench, "pii:p.csv").through] == ["churn@v1"]
    assert ask(bench, "dataset:feats").derived == ()


def test_the_same_commit_is_the_same_code_from_wherever_it_was_cloned(modelled):
    for model, url, commit in (
        ("ssh", "ssh://git/code", "4f"),
        ("https", "https://git/code", "4f"),
        ("later", "https://git/code", "5a"),
    ):
        modelled.record(model=model, code={"url": url, "commit": commit * 20})
    assert audit_diff(modelled.keep, "ssh", "https").causes == ()
    assert audit_diff(modelled.keep, "https", "later").causes == ("code",)


def test_several_versions_of_the_same_bytes_are_the_same_data(modelled):
    given = {name: getattr(modelled.entry, name) for name in ("dataset", "commit", "content")}
    other = given | {"content": f"sha256:{'0' * 64}", "how": "observed", "version": "v9"}
    for model, version in (("one", "v1"), ("two", "v2")):
        modelled.record(model=model, inputs=[given | {"how": "observed", "version": version}, other])
    assert audit_diff(modelled.keep, "one", "two").causes == ()
