"""What a first user types, and what they read: before the command, without one, and asked on a terminal."""

from __future__ import annotations

import os
import pty
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from world import Person


def on_terminal(person: Person, *args: str | Path, cwd: Path, typed: str = "") -> tuple[int, str]:
    """``datakeep ARGS`` on a terminal, with what is typed there; its exit code and what was seen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(sys.executable, [sys.executable, "-m", "datakeep", *map(str, args)], person.env)
    os.write(terminal, typed.encode())
    seen = b""
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
    except OSError:  # how Linux says that the other end has closed
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode("utf-8", "replace")


def test_json_and_the_keep_may_stand_before_the_command(aiko: Person, keep: Path) -> None:
    before = aiko.datakeep("-C", keep, "--json", "list", cwd=aiko.home).data
    assert before == aiko.datakeep("list", "--json", cwd=keep).data
    assert aiko.datakeep("--json", "people", "list", cwd=keep).data["people"][0]["handle"] == "aiko"
    assert aiko.datakeep("--json", "show", "x", cwd=keep, code=11).data["error"]["id"] == "unknown-name"


def test_without_a_command_there_is_help_and_no_error(aiko: Person) -> None:
    code, seen = on_terminal(aiko, cwd=aiko.cwd)
    assert code == 2
    assert seen.startswith("Usage: datakeep")
    assert "error" not in seen
    assert "\x1b" not in seen
    assert aiko.datakeep("people", code=2).err.startswith("Usage: datakeep people")
    assert aiko.datakeep("--json", code=2).data["error"]["next"] == "datakeep --help"


def test_a_folder_that_cannot_name_a_keep_is_refused_with_the_option(aiko: Person) -> None:
    refused = aiko.datakeep("init", "鍵keep", code=2).err
    assert "鍵keep" in refused
    assert "--name keep" in refused
    assert not (aiko.cwd / "鍵keep").exists()
    made = aiko.datakeep("init", "鍵keep", "--name", "kagi", "--json").data
    assert (made["name"], made["created"]) == ("kagi", True)
    assert aiko.datakeep("init", "鍵keep", "--name", "kagi", "--json").data["created"] is False


def test_the_backend_is_asked_for_with_a_suggestion_and_why(
    aiko: Person, keep: Path, facts: tuple[str, ...]
) -> None:
    source = aiko.cwd / "one.txt"
    source.write_text("a\n")
    refused = aiko.datakeep("register", "one", source, *facts, cwd=keep, code=2).err
    assert "--backend git" in refused
    assert "1 file, 2 bytes" in refused
    code, seen = on_terminal(aiko, "register", "one", source, *facts, cwd=keep, typed="\n")
    assert code == 0, seen
    assert "[git]" in seen
    assert "1 file, 2 bytes: few and small enough for git" in " ".join(seen.split())
    assert aiko.datakeep("show", "one", "--json", cwd=keep).data["entry"]["manifest"]["backend"] == "git"
    assert "registered one@v1: 1 file," in seen


def test_parents_are_registered_versions_or_named_as_outside(
    aiko: Person, keep: Path, orders: Path, facts: tuple[str, ...]
) -> None:
    aiko.datakeep("register", "orders", orders, "--backend", "git", *facts, cwd=keep)
    derive = ("register", "sums", orders, "--backend", "git", "--source-kind", "derived", *facts)
    derive = (*derive, "--source-command", "python sum.py")
    refused = aiko.datakeep(*derive, "--parent", "order@v1", cwd=keep, code=11).err
    assert "did you mean 'orders'" in refused
    assert "external:" in refused
    aiko.datakeep(*derive, "--parent", "orders@v7", cwd=keep, code=11)
    assert "--parent orders@v1" in aiko.datakeep(*derive, "--parent", "orders", cwd=keep, code=2).err
    outside = ("--parent", "https://example.org/sales", "--parent", "external:the ledger of 2019")
    aiko.datakeep(*derive, "--parent", "orders@v1", *outside, cwd=keep)
    aiko.datakeep("update", "sums", "--parent", "nosuch@v1", "-m", "more", cwd=keep, code=11)
    aiko.datakeep("update", "sums", "--license", "CC-BY-4.0", "-m", "other facts", cwd=keep)


def test_a_broken_entry_and_a_broken_person_are_named_in_words_and_in_json(
    aiko: Person, keep: Path, orders: Path, facts: tuple[str, ...]
) -> None:
    aiko.datakeep("register", "orders", orders, "--backend", "git", *facts, cwd=keep)
    aiko.datakeep("update", "orders", "--license", "internal", "-m", "licence", cwd=keep)
    (keep / "register/orders/v2.yaml").write_text("format: [")
    (keep / "people/ken.yaml").write_text("format: [")
    aiko.run("git", "add", "register", "people", cwd=keep)
    aiko.run("git", "commit", "-qm", "by hand", cwd=keep)
    listed = aiko.datakeep("list", cwd=keep, code=3)
    assert "orders  v1" in listed.out
    assert "register/orders/v2.yaml" in listed.err
    shown = aiko.datakeep("show", "orders", cwd=keep, code=3)
    assert "not the newest: that is v2" in shown.out
    assert "register/orders/v2.yaml" in shown.err
    log = aiko.datakeep("log", "orders", cwd=keep, code=3).out
    assert "cannot be read: register/orders/v2.yaml" in log
    assert "git log -- register/orders/v2.yaml" in log
    assert aiko.datakeep("log", "orders", "--json", cwd=keep, code=3).data["versions"][0]["at"] is None
    people = aiko.datakeep("people", "list", cwd=keep, code=3).out
    assert "cannot be read: people/ken.yaml" in people
    assert aiko.datakeep("people", "list", "--json", cwd=keep, code=3).data["unreadable"]
    kinds = {one["kind"] for one in aiko.datakeep("status", "--json", cwd=keep, code=3).data["findings"]}
    assert {"broken-entry", "broken-person"} <= kinds


def test_a_key_that_is_there_is_made_known_in_another_keep(aiko: Person, keep: Path) -> None:
    first = aiko.datakeep("key", "create", cwd=keep)
    aiko.datakeep("init", "second")
    second = aiko.datakeep("key", "create", cwd=aiko.cwd / "second")
    assert "the key that was there" in second.out
    assert "the keep second knows it as aiko's" in second.out
    assert first.out.partition("public: ")[2].splitlines()[0] in second.out


def test_folders_that_look_like_splits_are_asked_for(
    aiko: Person, keep: Path, tmp_path: Path, facts: tuple[str, ...]
) -> None:
    for name in ("train", "test"):
        (tmp_path / "halves" / name).mkdir(parents=True)
        (tmp_path / "halves" / name / "a.csv").write_text("a\n1\n")
    for answer, declared in (("yes", {"test": ["data/test/**"], "train": ["data/train/**"]}), ("no", None)):
        argv = ("register", f"halves-{answer}", tmp_path / "halves", "--backend", "git", *facts)
        code, seen = on_terminal(aiko, *argv, cwd=keep, typed=f"{answer}\n")
        assert code == 0, seen
        assert "split (whether these are its splits: test=data/test/**, train=data/train/**)" in seen
        entry = aiko.datakeep("show", f"halves-{answer}", "--json", cwd=keep).data["entry"]
        assert entry["manifest"].get("splits") == declared


def test_they_are_asked_for_at_an_adoption_too(
    aiko: Person, keep: Path, tmp_path: Path, facts: tuple[str, ...]
) -> None:
    place = tmp_path / "old"
    for name in ("train", "test"):
        (place / "data" / name).mkdir(parents=True)
        (place / "data" / name / "a.csv").write_text("a\n1\n")
    aiko.run("git", "init", "-q", place)
    aiko.run("git", "add", "-A", cwd=place)
    aiko.run("git", "commit", "-qm", "old", cwd=place)
    code, seen = on_terminal(aiko, "adopt", place, "--name", "asked", *facts, cwd=keep, typed="yes\n")
    assert code == 0, seen
    assert "split (whether these are its splits: test=data/test/**, train=data/train/**)" in seen
    entry = aiko.datakeep("show", "asked", "--json", cwd=keep).data["entry"]
    assert entry["manifest"]["splits"] == {"test": ["data/test/**"], "train": ["data/train/**"]}
    hinted = aiko.datakeep("adopt", place, "--name", "hinted", *facts, cwd=keep).out
    assert "the folders test, train look like splits, and none is declared" in hinted
    wrong = aiko.datakeep(
        "adopt", place, "--name", "wrong", *facts, "--split", "train=x/**", cwd=keep, code=2
    )
    assert "--split train=x/** matches no file" in wrong.err


def test_without_a_git_identity_no_key_is_made(aiko: Person, keep: Path) -> None:
    (aiko.home / ".gitconfig").write_text("")
    key = aiko.home / ".config" / "datakeep" / "key"
    for half in (key, key.with_suffix(".pub")):
        half.unlink(missing_ok=True)
    assert aiko.datakeep("key", "create", cwd=keep, code=23).err.count("user.name") == 1
    assert not key.exists()


def test_what_is_missing_of_a_training_is_named_with_what_to_add(
    aiko: Person, keep: Path, orders: Path, tmp_path: Path, facts: tuple[str, ...]
) -> None:
    aiko.datakeep("register", "orders", orders, "--backend", "git", *facts, cwd=keep)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("print()\n")
    argv = (
        "reference",
        "orders",
        "--code",
        tmp_path / "code",
        "--command",
        "python train.py --out {out} {data}",
    )
    said = aiko.datakeep(*argv, cwd=keep, code=13).err
    assert "`uv lock` in the code's folder makes one" in said
    assert said.endswith("  next: the same command, and in it: --lock uv.lock\n")


def test_a_folder_without_git_is_not_adopted_but_registered(aiko: Person, keep: Path, orders: Path) -> None:
    said = aiko.datakeep("adopt", orders, "--name", "orders", cwd=keep, code=16).err
    assert "there is no git repository at" in said
    assert "datakeep register NAME FOLDER" in said


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", ">&- 2>&- <&-"])
def test_a_stream_that_the_caller_closed_is_no_fault(aiko: Person, keep: Path, closed: str) -> None:
    """As cron and daemons leave them: what is said goes nowhere, and what was asked for is done."""
    said = aiko.run("sh", "-c", f'exec "$0" -m datakeep list {closed}', sys.executable, cwd=keep)
    assert "Traceback" not in said.err
    assert ("no dataset yet" in said.out) == (">&-" not in closed.split())
    argv = f'exec "$0" -m datakeep people add --name N --email "$1@corp.example" {closed}'
    name = f"p{len(closed)}{closed[0].encode().hex()}"
    assert aiko.run("sh", "-c", argv, sys.executable, name, cwd=keep).err == ""
    assert name in aiko.datakeep("people", "list", cwd=keep).out, "done all the same"


def test_an_answer_for_which_there_is_no_room_is_one_error_that_says_what_was_done(
    aiko: Person, keep: Path
) -> None:
    for words in ("list", "--help", "list --json"):
        argv = ("sh", "-c", f'"$0" -m datakeep {words} >/dev/full', sys.executable)
        ran = aiko.run(*argv, cwd=keep, code=19)
        assert ran.err.splitlines() == [
            "error: the answer cannot be written: No space left on device",
            "  next: make room for it, and ask again",
        ]
    both = ("sh", "-c", '"$0" -m datakeep list >/dev/full 2>/dev/full', sys.executable)
    assert aiko.run(*both, cwd=keep, code=19).err == ""
    adding = '"$0" -m datakeep people add --name N --email full@corp.example >/dev/full'
    ran = aiko.run("sh", "-c", adding, sys.executable, cwd=keep, code=19)
    assert ran.err.splitlines() == [
        "error: the answer cannot be written: No space left on device; what was asked for is done and recorded",
        "  next: datakeep status",
    ]
