"""Whoever changes an entry, a record, a list or a proof after it was recorded is found out: exit code 3."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from world import Person

from datakeep.core.errors import UnknownName
from datakeep.core.progress import Silent
from datakeep.repository import edits, working
from datakeep.workflows.audit import Audit, audit
from datakeep.workflows.keep import open_keep
from datakeep.workflows.tampering import behind_an_audit
from datakeep.workflows.written_once import changed_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from world import Ran, World

ENTRY, RECORD, LIST = "register/orders/v2.yaml", "models/m/v1.yaml", "models/m/v1/read/orders@v2.txt"
VERIFIED, MIDDLE = "models/orders/v1.yaml", "models/base/v1.yaml"


@dataclass
class Clone:
    """A clone of the keep in which somebody with the right to push is at work."""

    world: World
    mallory: Person
    keep: Path

    def edit(self, path: str, change: Callable[[bytes], bytes | None]) -> None:
        """The file in this folder is another, or gone."""
        place = self.keep / path
        changed = change(place.read_bytes())
        if changed is None:
            place.unlink()
        else:
            assert changed != place.read_bytes()
            place.write_bytes(changed)

    def commit(self, *options: str) -> None:
        self.mallory.run("git", "commit", "-qam", "tidy up", *options, cwd=self.keep)

    def first(self, path: str) -> str:
        """The commit that added a file."""
        log = ("git", "log", "--diff-filter=A", "--format=%H", "--", path)
        return self.mallory.run(*log, cwd=self.keep).out.split()[-1][:12]

    def ask(self, *argv: str | Path, code: int | None = 3) -> Ran:
        return self.world.aiko.datakeep(*argv, cwd=self.keep, code=code)


@pytest.fixture(scope="module")
def recorded(world: World) -> World:
    """A proof of orders@v2 and its model, a run that read one of its files, a base model and one made of it."""
    aiko, keep = world.aiko, world.keep
    world.register("orders")
    world.reference("orders")
    aiko.datakeep("verify", "orders", "--sandbox", "none", "--out", aiko.cwd / "made", cwd=keep)
    (aiko.cwd / "train.py").write_text(
        "import json, os\nopen(os.environ['DATAKEEP_DATA_ORDERS'] + '/train/orders.csv').read()\n"
        "open(os.environ['DATAKEEP_OUT'] + '/m.bin', 'w').write('m')\nprint(json.dumps({'accuracy': 0.71}))\n"
    )
    run = ["run", "--uses", "orders", "--model"]
    aiko.datakeep("-C", keep, *run, "m", "--out", aiko.cwd / "m", "--", "python", "train.py", cwd=aiko.cwd)
    aiko.datakeep("record", "base", world.orders / "same-a.bin", "--used", "orders@v1", cwd=keep)
    aiko.datakeep(
        "record",
        "fine",
        world.orders / "train/orders.csv",
        "--base",
        "base@v1",
        "--used",
        "orders@v2",
        cwd=keep,
    )
    return world


@pytest.fixture
def clone(recorded: World, tmp_path: Path) -> Clone:
    mallory = Person(
        "Mallory", "mallory@corp.example", tmp_path / "home", recorded.aiko.caches, tmp_path / "work"
    )
    url = recorded.vault / "git" / "keeps" / "keep.git"
    mallory.run("git", "clone", "-q", url, tmp_path / "clone")
    return Clone(recorded, mallory, tmp_path / "clone")


def replacing(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old.encode(), new.encode())


def the_proof(clone: Clone) -> str:
    (found,) = (clone.keep / "proofs/orders/v2").iterdir()
    return f"proofs/orders/v2/{found.name}"


def test_nothing_is_said_of_a_keep_that_is_as_it_was_recorded(clone: Clone) -> None:
    for subject in ("model:m", "model:fine", "model:orders", "dataset:orders", "orders@v2:train/orders.csv"):
        # A clone has no lists of files.
        ran = clone.ask("audit", subject, "--json", code=4 if ":train" in subject else 0)
        assert ran.data["tampered"] == []
        assert ran.err == ""
    assert clone.ask("show", "orders", "--json", code=0).data["tampered"] == []


EDITS = {
    "a metric": (RECORD, replacing("'0.71'", "'0.91'"), "model:m", "metrics.accuracy: 0.71 → 0.91"),
    "a record that cannot be read any more": (RECORD, replacing("format: ", "format; "), "model:m", RECORD),
    "an entry": (
        ENTRY,
        replacing("license: CC0-1.0", "license: CC0-1.1"),
        "dataset:orders@v2",
        "manifest.license",
    ),
    "the list of files read": (
        LIST,
        replacing("train/", "trajn/"),
        "model:m",
        "is not the list of the files read",
    ),
    "a base model": (
        MIDDLE,
        replacing("origin: declared", "origin: run"),
        "model:fine",
        "origin: declared → run",
    ),
    "a base model that is gone": (MIDDLE, lambda _: None, "model:fine", f"{MIDDLE} was deleted"),
    "an entry that is gone": (ENTRY, lambda _: None, "model:m", f"{ENTRY} was deleted"),
}


@pytest.mark.parametrize("kind", EDITS)
def test_what_was_edited_in_the_history_is_told_with_who_did_it(clone: Clone, kind: str) -> None:
    path, change, subject, words = EDITS[kind]
    clone.edit(path, change)
    clone.commit()
    # What cannot be read leaves it open what else there was: that is no "no".
    said = clone.ask("audit", subject, code=4 if "cannot be read" in kind else 3)
    verb = "deleted" if "gone" in kind else "edited"
    assert f"{path} was {verb} after it was recorded" in said.out
    assert "recorded by Aiko Tanaka" in said.out
    assert f"{verb} by Mallory <mallory@corp.example>" in said.out
    assert words in said.out
    step = next(line for line in said.out.splitlines() if "next: ask Mallory why" in line)
    # What is printed as the next step brings it back.
    clone.mallory.run(*step.partition("the recorded one: ")[2].split(), cwd=clone.keep)
    clone.mallory.run("git", "commit", "-qam", "as it was", cwd=clone.keep)
    clone.ask("audit", subject, code=0)


def test_an_entry_that_is_gone_is_no_reason_to_ask_the_vault(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.edit(ENTRY, lambda _: None)
    clone.commit()
    asked = []
    monkeypatch.setattr(working, "divergence", asked.append)
    keep, now = open_keep(clone.keep, Silent()), datetime.now(UTC)
    found = audit(keep, "model:m", now=now)
    assert [one.path for one in behind_an_audit(keep, found, now=now)] == [ENTRY]
    assert isinstance(found, Audit)
    assert found.made_of
    assert found.made_of.inputs[0].unknown == (
        "everything about orders@v2: orders has no version v2; it has v1",
    )
    assert audit(keep, "dataset:orders@v1", now=now)
    assert asked == []
    with pytest.raises(UnknownName):  # what somebody types may be published since
        audit(keep, "dataset:orders@v2", now=now)
    assert len(asked) == 1


def test_every_question_of_audit_and_every_form_of_the_answer_tells_an_edit_first(clone: Clone) -> None:
    clone.edit(RECORD, replacing("'0.71'", "'0.91'"))
    clone.commit()
    head = "do not trust this answer: 1 thing behind it is not as recorded"
    for argv in (("--diff", "m", "fine"), ("--policy",)):
        said = clone.ask("audit", *argv)
        assert said.out.startswith(head), argv
        assert "edited by Mallory <mallory@corp.example>" in said.out
        (one,) = clone.ask("audit", *argv, "--json").data["tampered"]
        assert one["path"] == RECORD
    complaints = clone.ask("audit", "--policy", "--json").data["complaints"]
    assert [one["about"] for one in complaints if one["kind"] == "tampered"] == [RECORD]
    page = clone.mallory.cwd / "m.html"
    assert clone.ask("audit", "model:m", "--html", page).out.startswith(head)
    body = page.read_text("utf-8").partition("<body>")[2]
    banner, _, rest = body.partition("<header>")
    assert "Do not trust this answer" in banner
    assert "edited by Mallory &lt;mallory@corp.example&gt;" in banner
    assert "Do not trust" not in rest
    said = clone.ask("audit", "model:m", "--format", "openlineage")
    assert head in said.err
    assert head not in said.out


def test_rows_that_are_looked_for_behind_an_edited_entry_are_told_after_the_edit(clone: Clone) -> None:
    clone.edit(ENTRY, replacing("license: CC0-1.0", "license: CC0-1.1"))
    clone.commit()
    asked = ("audit", "orders", "--where", "id = 1")
    # Nothing is here to be searched, and that is no 3, which could be taken for a "no".
    assert clone.ask(*asked, code=4).out.startswith("do not trust this answer: ")
    assert ENTRY in [one["path"] for one in clone.ask(*asked, "--json", code=4).data["tampered"]]


def test_a_file_whose_record_was_edited_is_not_only_not_known(clone: Clone) -> None:
    sha256 = json.loads(clone.ask("audit", "model:m", "--json", code=0).out)["model"]["record"]["artifacts"][
        0
    ]["sha256"]
    clone.edit(RECORD, replacing(sha256, f"{int(sha256[0], 16) ^ 1:x}{sha256[1:]}"))
    clone.commit()
    # A clone has no lists of files.
    said = clone.ask("audit", clone.world.aiko.cwd / "m" / "m.bin", code=4).out
    assert "not known: the keep has no readable record of it" in said
    assert f"artifacts[0].sha256: {sha256} → " in said


def test_one_byte_of_a_proof_is_enough(clone: Clone) -> None:
    path = the_proof(clone)
    envelope = json.loads((clone.keep / path).read_bytes())
    payload = base64.b64decode(envelope["payload"])
    forged = payload.replace(b'"result":"passed"', b'"result":"pasted"', 1)
    assert forged != payload
    signature = envelope["signatures"][0]["sig"]
    other = ("B" if signature[9] == "A" else "A").join((signature[:9], signature[10:]))
    for old, new in (
        (envelope["payload"], base64.b64encode(forged).decode()),
        (signature, other),
        (envelope["signatures"][0]["keyid"], f"0{envelope['signatures'][0]['keyid'][1:]}"),
    ):
        clone.edit(path, replacing(old, new))
        clone.commit()
        for argv in (("audit", "model:orders"), ("show", "orders@v2")):
            said = clone.ask(*argv).out
            assert f"{path} was edited after it was recorded" in said
            assert "by Mallory" in said
        clone.mallory.run("git", "revert", "--no-edit", "HEAD", cwd=clone.keep)
        clone.ask("show", "orders@v2", code=0)


@pytest.mark.parametrize("path", [RECORD, ENTRY, LIST, "proof"])
def test_what_is_edited_and_not_committed_is_told_and_not_answered_from(clone: Clone, path: str) -> None:
    path = the_proof(clone) if path == "proof" else path
    before = clone.ask("audit", "model:m", "--json", code=0).data
    clone.edit(path, lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:])
    said = clone.ask("audit", "model:m", "--json").data
    assert [one["path"] for one in said["tampered"]] == [path]
    assert "in this folder is not what is committed" in said["tampered"][0]["what"]
    assert said["model"] == before["model"]
    assert path in clone.ask("fsck").out


def test_lists_tell_of_an_entry_that_is_edited_and_not_committed(clone: Clone) -> None:
    name = ENTRY.split("/")[1]
    clone.edit(ENTRY, lambda data: data.replace(b"license: ", b"license: X"))
    for argv in (("list",), ("log", name), ("show", name)):
        assert f"{ENTRY} in this folder is not what is committed" in clone.ask(*argv).out
    clone.mallory.run("git", "checkout", "-q", "--", ENTRY, cwd=clone.keep)
    for argv in (("list",), ("log", name)):
        clone.ask(*argv, code=0)


def test_a_history_that_was_rewritten_is_known_by_proofs_and_by_clones_that_had_the_old_one(
    clone: Clone,
) -> None:
    """Every commit is made anew, as if the metric of a verified model, and an entry, had always been another."""
    clone.ask("audit", "model:orders", code=0)
    script = (
        f"test ! -f {VERIFIED} || sed -i 's/0.75/0.95/' {VERIFIED}; "
        f"test ! -f {ENTRY} || sed -i 's/license: CC0-1.0/license: CC0-1.1/' {ENTRY}"
    )
    clone.mallory.extra["FILTER_BRANCH_SQUELCH_WARNING"] = "1"
    clone.mallory.run("git", "filter-branch", "-f", "--tree-filter", script, "HEAD", cwd=clone.keep)
    said = clone.ask("audit", "model:orders").out
    assert f"{VERIFIED} is another since the history of the keep was rewritten" in said
    assert "metrics.accuracy: 0.75 → 0.95" in said
    assert "manifest.license: CC0-1.0 → CC0-1.1" in said
    fresh = Clone(clone.world, clone.mallory, clone.keep.with_name("fresh"))
    clone.mallory.run("git", "clone", "-q", clone.keep, fresh.keep)
    said = fresh.ask("audit", "model:orders").out
    assert "its metrics is {'accuracy': '0.95'}, and the proof's is {'accuracy': '0.75'}" in said
    assert "which is not in this keep's history: it was rewritten since" in said


def test_fsck_tells_of_all_and_a_shallow_clone_says_what_it_cannot_tell(clone: Clone) -> None:
    assert clone.ask("fsck", "--json", code=None).data["complaints"] == []
    clone.edit(RECORD, replacing("accuracy: '0.71'", "accuracy: '0.91'"))
    clone.edit(ENTRY, lambda data: re.sub(rb"content: sha256:.", b"content: sha256:x", data))
    other = clone.ask("show", "orders@v1", "--json", code=0).data["entry"]["content"]
    wrong = f"{other[:-1]}{int(other[-1], 16) ^ 1:x}"
    clone.edit("register/orders/v1.yaml", replacing(other, wrong))
    clone.edit(the_proof(clone), replacing('"sig":"', '"sig":"A'))
    clone.commit()
    said = [one["what"] for one in clone.ask("fsck", "--json").data["complaints"]]
    for words in (RECORD, ENTRY, the_proof(clone)):
        assert any(line.startswith(f"{words} was edited after it was recorded") for line in said), words
    assert f"register/orders/v1.yaml says content {wrong}, and its inventory {other}" in said
    assert any(line.startswith(f"{ENTRY}: content: string should match") for line in said), (
        "and all else is told"
    )
    shallow = Clone(clone.world, clone.mallory, clone.keep.with_name("shallow"))
    clone.mallory.run("git", "clone", "-q", "--depth", "1", f"file://{clone.keep}", shallow.keep)
    warned = shallow.ask("audit", "model:fine", code=None)
    assert "this clone's history begins is not known" in warned.err


def test_a_list_that_was_copied_with_its_record_is_no_tampering(clone: Clone) -> None:
    """A record is found by what it says, and files that nobody wrote once may change."""
    (clone.keep / "models/README.md").write_text("ours\n")
    shutil.copy(clone.keep / "keep.yaml", clone.keep / "models/keep.txt")
    clone.mallory.run("git", "add", "-A", cwd=clone.keep)
    clone.commit()
    (clone.keep / "models/README.md").write_text("ours, edited\n")
    clone.commit()
    clone.ask("audit", "model:m", code=0)


HEAD = "do not trust this answer: 1 thing behind it is not as recorded"
#: Every question whose answer a record of a model could have been in, and its exit code.
FORMS = (
    (("audit", "dataset:orders"), 3),
    (("audit", "dataset:orders@v1"), 3),
    (("audit", "orders@v2:train/orders.csv"), 4),  # a clone has no lists of files
    (("audit", "dataset:orders", "--where", "id = 1"), 4),
    (("audit", "--where", "id = 1"), 4),
    (("audit", "dataset:orders", "--format", "prov"), 3),
)


@pytest.mark.parametrize(
    ("change", "verb"),
    [(lambda _: None, "deleted"), (replacing("dataset: orders", "dataset: others"), "edited")],
)
def test_a_record_that_left_an_answer_is_told_by_every_form_of_the_question(
    clone: Clone, change: Callable[[bytes], bytes | None], verb: str
) -> None:
    for argv, code in FORMS:
        clone.ask(*argv, code=code if code == 4 else 0)
    clone.edit(RECORD, change)
    clone.commit()
    for argv, code in FORMS:
        said = clone.ask(*argv, code=code)
        assert (said.err if "prov" in argv else said.out).startswith(HEAD), argv
        assert f"{RECORD} was {verb} after it was recorded" in said.out + said.err
    page = clone.mallory.cwd / "orders.html"
    clone.ask("audit", "dataset:orders", "--html", page)
    assert f"{RECORD} was {verb} after it was recorded" in page.read_text("utf-8")
    assert [one["path"] for one in clone.ask("audit", "dataset:orders", "--json").data["tampered"]] == [
        RECORD
    ]
    clone.ask("audit", "model:fine", code=0)
    clone.ask("show", "orders", code=0)


def test_who_asks_for_what_was_deleted_hears_who_did_it_and_how_to_see_it(clone: Clone) -> None:
    clone.mallory.run("git", "rm", "-q", RECORD, ENTRY, cwd=clone.keep)
    clone.commit()
    for path, *argv in (
        (RECORD, "audit", "model:m"),
        (RECORD, "audit", "m@v1"),
        (RECORD, "audit", "--diff", "m", "fine"),
        (ENTRY, "audit", "dataset:orders@v2"),
        (ENTRY, "audit", "orders@v2:train/orders.csv"),
        (ENTRY, "audit", "orders@v2", "--where", "id = 1"),
        (ENTRY, "show", "orders@v2"),
        (ENTRY, "show", "orders"),
        (ENTRY, "log", "orders"),
        (ENTRY, "list"),
    ):
        said = clone.ask(*argv)
        assert said.out.startswith(HEAD), argv
        assert f"{path} was deleted after it was recorded" in said.out
        assert "deleted by Mallory <mallory@corp.example>" in said.out
        step = next(line for line in said.out.splitlines() if "next: ask Mallory why" in line)
        shown = step.partition("the recorded one: ")[2].split()
        assert shown[-1] == path
        assert clone.mallory.run("git", "cat-file", "-e", f"{shown[-3]}:{path}", cwd=clone.keep).code == 0
    data = clone.ask("audit", "model:m", "--json").data
    assert (data["known"], data["deleted"]) == (False, [RECORD])
    # By its bytes, shortened or not, in its folder; and no word of it is nowhere.
    model = clone.world.aiko.cwd / "m"
    digits = hashlib.sha256((model / "m.bin").read_bytes()).hexdigest()[:12]
    for path, *argv in (
        (RECORD, "whatis", digits),
        (RECORD, "audit", model),
        (ENTRY, "whatis", model / "m.bin"),
        (ENTRY, "audit", model / "m.bin"),
    ):
        assert f"{path} was deleted after it was recorded" in clone.ask(*argv).out, argv
    clone.mallory.run("git", "rm", "-qr", "models/fine", cwd=clone.keep)
    clone.commit()
    said = clone.ask("find", "fine", "--kind", "model")
    assert said.out.startswith(HEAD)
    assert "nowhere" not in said.out
    # What never was is unknown, as ever; and a version that is there is shown.
    clone.ask("audit", "model:m@v9", code=11)
    clone.ask("show", "orders@v7", code=11)
    clone.ask("show", "orders@v1", code=0)


def test_a_deleted_proof_is_told_by_all_that_tell_of_proofs(clone: Clone) -> None:
    path = the_proof(clone)
    clone.edit(path, lambda _: None)
    clone.commit()
    for argv in (("show", "orders"), ("show", "orders@v2"), ("list",), ("audit", "model:m")):
        assert f"{path} was deleted after it was recorded" in clone.ask(*argv).out, argv
    clone.ask("log", "orders", code=0)


@pytest.mark.parametrize("kind", ["a branch", "ours", "the merge itself"])
def test_what_a_merge_takes_away_is_told_by_the_cache_that_was_made_before_it(
    clone: Clone, kind: str
) -> None:
    def git(*argv: str, code: int | None = 0) -> None:
        clone.mallory.run("git", *argv, cwd=clone.keep, code=code)

    clone.ask("audit", "dataset:orders", code=0)
    git("branch", "side")
    if kind == "ours":  # the side's own record is dropped
        git("switch", "-qc", "before", "HEAD~1")
        git("commit", "-q", "--allow-empty", "-m", "without the last record")
        git("merge", "-q", "-s", "ours", "-m", "merged", "side")
        git("switch", "-q", "-C", "main")
    else:
        git("commit", "-q", "--allow-empty", "-m", "meanwhile")
        git("switch", "-q", "side")
        (clone.keep / "models/README.md").write_text("ours\n")
        git("add", "models/README.md")
        if kind == "a branch":
            git("rm", "-q", RECORD)
        git("commit", "-qm", "on the side")
        git("switch", "-q", "main")
        git("merge", "-q", "--no-commit", "--no-ff", "side")
        if kind == "the merge itself":
            git("rm", "-q", RECORD)
        git("commit", "-qm", "merged")
    told = clone.ask("audit", "dataset:orders", "--json").data["tampered"]
    assert len(told) == 1
    assert (told[0]["path"] == RECORD) == (kind != "ours")
    assert "deleted by Mallory" in told[0]["evidence"][1]
    # Who is named is the one who did it, and not who merged it.
    words = {"a branch": "on the side", "ours": "merged", "the merge itself": "merged"}[kind]
    log = ("git", "log", "-1", "--format=%H", "--grep", words)
    assert told[0]["evidence"][1].endswith(clone.mallory.run(*log, cwd=clone.keep).out[:12])


def test_what_was_looked_up_once_is_not_asked_of_git_again(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.edit(RECORD, lambda _: None)
    clone.commit()
    first = changed_below(open_keep(clone.keep, Silent()), "models/")
    assert [one.path for one in first] == [RECORD]

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("git was asked again")

    for name in ("changed_after_adding", "steps", "goes_on"):
        monkeypatch.setattr(edits, name, refused)
    keep = open_keep(clone.keep, Silent())
    assert changed_below(keep, "models/") == first
    assert changed_below(keep, "register/") == ()


@pytest.mark.parametrize("size", [0, 40])
def test_a_record_that_was_cut_short_is_named_whatever_is_left_of_it(clone: Clone, size: int) -> None:
    """It came in like that: the history has nothing to tell of it."""
    text = (clone.keep / RECORD).read_bytes()[:size]
    assert b"orders" not in text
    (clone.keep / "models/half").mkdir()
    (clone.keep / "models/half/v1.yaml").write_bytes(text)
    clone.mallory.run("git", "add", "-A", cwd=clone.keep)
    clone.commit()
    # Where something was found it is an answer, with what might be more; where nothing was, that is no "no".
    for subject, code in (("dataset:orders", 0), ("orders@v2", 0), ("orders@v2:train/orders.csv", 4)):
        data = clone.ask("audit", subject, "--json", code=code).data
        assert [one["path"] for one in data["broken"]] == ["models/half/v1.yaml"], subject
    for model in ("m", "fine", "base", "orders"):
        clone.mallory.run("git", "rm", "-rq", f"models/{model}", cwd=clone.keep)
    clone.commit()
    assert "not known: no record that can be read" in clone.ask("audit", "dataset:orders", code=4).out


def test_one_byte_of_an_entry_does_not_make_a_file_unknown(clone: Clone) -> None:
    clone.edit(ENTRY, lambda data: data[:9] + b"\xff" + data[10:])
    clone.commit()
    for subject in ("orders@v2:train/orders.csv", "dataset:orders:train/orders.csv"):
        said = clone.ask("audit", subject, "--fetch", code=4)
        assert "not searched, since the register entry cannot be read:" in said.out
        data = clone.ask("audit", subject, "--json", code=4).data
        assert [one["path"] for one in data["unread"]] == [ENTRY]
        assert {one["file"] for one in data["models"] if one["used"] == "orders@v2"} >= {"not known"}
    # A version that can be read is answered as ever.
    assert "train/orders.csv is in v1" in clone.ask("audit", "orders@v1:train/orders.csv", code=0).out


def test_a_sha256_is_answered_as_the_file_is(clone: Clone) -> None:
    whole = clone.ask("audit", "model:m", "--json", code=0).data["model"]["record"]["artifacts"][0]["sha256"]
    by_file = clone.ask("audit", clone.world.aiko.cwd / "m" / "m.bin", "--json", code=0).data
    for asked in (whole, f"sha256:{whole}", whole[:8], whole.upper()):
        data = clone.ask("audit", asked, "--json", code=0).data
        assert (data["sha256"], data["model"]) == (whole, by_file["model"]), asked
    assert clone.ask("audit", "0" * 64, "--json", code=4).data["known"] is False
    clone.ask("audit", whole[:7], code=11)
    clone.edit(RECORD, lambda _: None)
    clone.commit()
    assert RECORD in clone.ask("audit", whole, code=None).out.partition("not known")[0]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_is_told_and_not_followed(clone: Clone, kind: str) -> None:
    path = clone.keep / ENTRY
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)  # whoever opens it waits for ever
    else:
        path.symlink_to("/dev/zero")  # whoever reads it has no end
        clone.commit()
    said = clone.ask("audit", "model:m", "--json").data
    assert ENTRY in [one["path"] for one in said["tampered"]]


@pytest.fixture
def apart(clone: Clone, tmp_path: Path) -> Clone:
    """One whose verifications are pushed to a copy of the keep."""
    shutil.copytree(clone.world.vault / "git/keeps/keep.git", tmp_path / "keep.git")
    clone.mallory.run("git", "remote", "set-url", "origin", tmp_path / "keep.git", cwd=clone.keep)
    return clone


def test_a_verification_that_fails_by_an_edited_entry_blames_who_edited_it(apart: Clone) -> None:
    clone = apart
    clone.edit(
        ENTRY, lambda data: re.sub(rb"(?m)^(content: sha256:).", rb"\g<1>x", data).replace(b":x", b":0")
    )
    apart.commit()
    said = apart.ask("verify", "orders@v2", "--sandbox", "none").out
    assert f"{ENTRY} was edited after it was recorded" in said
    assert "edited by Mallory" in said
    assert f"git checkout {apart.first(ENTRY)} -- {ENTRY}" in said
    assert "administrator" not in said


def test_a_verification_that_passes_with_an_edited_entry_says_so(apart: Clone) -> None:
    apart.edit(ENTRY, lambda data: re.sub(rb"(?m)^message: .*$", b"message: another", data))
    apart.commit()
    said = apart.ask("verify", "orders@v2", "--sandbox", "none", code=0)
    assert f"{ENTRY} was edited after it was recorded" in said.out + said.err


def test_a_newest_record_that_cannot_be_read_hides_no_older_one(clone: Clone) -> None:
    (clone.keep / "models/m/v2.yaml").write_text("format: [")
    clone.mallory.run("git", "add", "models", cwd=clone.keep)
    clone.commit()
    said = clone.ask("audit", "model:m", "--json", code=4).data
    assert said["newer_unread"] == ["v2"]
    assert [one["path"] for one in said["broken"]] == ["models/m/v2.yaml"]
    assert said["model"]["record"]["version"] == "v1"
    shown = clone.ask("audit", "model:m", code=4).out
    assert shown.startswith(
        "v2 of it cannot be read; what follows is m@v1, the newest that can be\nmodel m@v1\n"
    )
    assert "not known: the keep has no readable record" in clone.ask("audit", "model:m@v2", code=4).out


@pytest.mark.parametrize("name", [".datakeep", ".DataKeep"])
def test_caches_that_somebody_committed_are_not_believed(clone: Clone, name: str) -> None:
    (clone.keep / name).mkdir()
    (clone.keep / name / "keep-facts.json").symlink_to("/dev/zero")
    clone.mallory.run("git", "add", "--force", name, cwd=clone.keep)
    clone.commit()
    ran = clone.ask("find", "orders", code=24)
    assert f"{name}/ is committed in the keep" in ran.err
    clone.mallory.run(
        "sh", "-c", ran.err.partition("take it away: ")[2].rpartition(" && ")[0], cwd=clone.keep
    )
    assert "dataset orders@v2" in clone.ask("find", "orders", code=0).out


def test_caches_that_somebody_pushed_replace_none_of_a_clone_that_follows(
    clone: Clone, tmp_path: Path
) -> None:
    vault = tmp_path / "keep.git"
    clone.mallory.run("git", "clone", "-q", "--bare", clone.keep, vault)
    for folder in (mine := tmp_path / "mine", theirs := tmp_path / "theirs"):
        clone.mallory.run("git", "clone", "-q", vault, folder)
    clone.mallory.datakeep("find", "orders", cwd=mine)
    clone.mallory.datakeep("list", cwd=mine)  # the first makes the folder, the second remembers in it
    before = (mine / ".datakeep/keep-facts.json").read_bytes()
    (theirs / ".datakeep").mkdir()
    (theirs / ".datakeep/keep-facts.json").write_text("{}")
    clone.mallory.run("git", "add", "--force", ".datakeep", cwd=theirs)
    clone.mallory.run("git", "commit", "-qm", "caches", cwd=theirs)
    clone.mallory.run("git", "push", "-q", cwd=theirs)
    assert "does not show the newest commit" in (open_keep(mine, Silent()).repository.refresh() or "")
    assert (mine / ".datakeep/keep-facts.json").read_bytes() == before
