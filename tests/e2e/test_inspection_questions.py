"""The commands that answer questions, as people and machines type them: exit codes, words, JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from datakeep.cli import boundary


@pytest.fixture
def registered(aiko, keep, orders, facts):
    """The keep with ``orders`` (dvc) and ``tab`` (git)."""
    aiko.datakeep("register", "orders", orders, "--backend", "dvc", *facts, cwd=keep)
    table = aiko.cwd / "表.csv"
    table.write_text("id,金額\n1,2\n", "utf-8")
    aiko.datakeep("register", "tab", table, "--backend", "git", "--title", "金額の表", *facts, cwd=keep)
    return keep


def data_of(orders):
    return {path.relative_to(orders): path.read_bytes() for path in orders.rglob("*") if path.is_file()}


def test_every_question_is_answered_in_words_and_in_json(aiko, registered):
    listed = aiko.datakeep("list", cwd=registered)
    assert "orders" in listed.out
    assert "unproven" in listed.out
    rows = aiko.datakeep("list", "--json", cwd=registered).data["datasets"]
    assert [(row["name"], row["version"], row["files"], row["proof"]) for row in rows] == [
        ("orders", "v1", 5, "unproven"),
        ("tab", "v1", 1, "unproven"),
    ]
    shown = aiko.datakeep("show", "tab", cwd=registered).out
    assert "金額の表" in shown
    assert "金額" in shown
    assert "not stated" in shown
    text = aiko.datakeep("show", "tab@v1", "--json", cwd=registered)
    assert "金額の表" in text.out
    assert text.data["entry"]["version"] == "v1"
    assert "caveats" in text.data["unknown"]
    assert "registered" in aiko.datakeep("log", "orders", cwd=registered).out
    assert (
        aiko.datakeep("log", "orders", "--json", cwd=registered).data["versions"][0]["content_changed"]
        is None
    )
    assert "reachable" in aiko.datakeep("vault", "list", cwd=registered).out


def test_the_keep_can_be_named_from_elsewhere(aiko, registered):
    for argv in (["-C", registered, "list"], ["list", "-C", registered]):
        assert "orders" in aiko.datakeep(*argv, cwd=aiko.home).out
    refused = aiko.datakeep("list", "--json", cwd=aiko.home, code=10)
    assert refused.data["error"]["id"] == "not-a-keep"


def test_unknown_names_suggest_and_name_a_command_that_exists(aiko, registered):
    for argv in (
        ["show", "order"],
        ["log", "order"],
        ["diff", "order"],
        ["checkout", "order"],
        ["status", "order"],
    ):
        assert "did you mean 'orders'" in aiko.datakeep(*argv, cwd=registered, code=11).err
    aiko.datakeep("show", "orders@v9", cwd=registered, code=11)
    aiko.datakeep("show", "orders@newest", cwd=registered, code=2)


def test_checkout_status_and_diff_have_one_positive_verdict_each(aiko, registered, orders):
    done = aiko.datakeep("checkout", "orders", "copy", cwd=aiko.cwd / "keep", code=12)
    assert "lies in the keep" in done.err
    done = aiko.datakeep("-C", registered, "checkout", "orders", "copy", cwd=aiko.cwd)
    assert "5/5 files present and matching" in done.out
    assert data_of(aiko.cwd / "copy" / "data") == data_of(orders)
    looked = aiko.datakeep("status", "orders", "--dir", aiko.cwd / "copy", cwd=registered)
    assert "5/5 files present and matching" in looked.out
    same = aiko.datakeep("diff", "orders@v1", "orders", cwd=registered)
    assert "same" in same.out
    (aiko.cwd / "copy" / "data" / "注文の説明.txt").unlink()
    looked = aiko.datakeep("status", "orders", "--dir", aiko.cwd / "copy", cwd=registered, code=3)
    assert "4/5 files present and matching" in looked.out
    assert "注文の説明.txt" in looked.out
    absent = aiko.datakeep("status", "orders", cwd=registered, code=3)
    assert "0/5 files present" in absent.out
    assert "datakeep checkout orders@v1" in absent.out


def test_diff_answers_3_and_names_files_fields_and_columns(aiko, registered, orders):
    (orders / "追加.txt").write_text("x")
    aiko.datakeep("update", "orders", orders, "-m", "more", cwd=registered)
    found = aiko.datakeep("diff", "orders", cwd=registered, code=3)
    assert "1 added, 0 removed, 0 changed" in found.out
    assert "追加.txt" in found.out
    data = aiko.datakeep("diff", "orders@v1", "orders@v2", "--json", cwd=registered, code=3).data
    assert data["files"] == {"added": ["追加.txt"], "removed": [], "changed": []}
    aiko.datakeep("diff", "orders", "tab", "orders", cwd=registered, code=2)


def test_status_of_the_keep_answers_3_with_what_to_type(aiko, registered):
    found = aiko.datakeep("status", cwd=registered, code=3)
    assert "orders@v1: unproven" in found.out
    assert "datakeep vault add" in found.out
    data = aiko.datakeep("status", "--json", cwd=registered, code=3).data
    assert data["clean"] is False
    assert {one["kind"] for one in data["findings"]} == {"unproven", "copies"}
    aiko.datakeep("status", "--dir", ".", cwd=registered, code=2)


@pytest.mark.parametrize("damage", ["flip", "empty", "delete"])
def test_a_lie_of_the_store_is_exit_22_with_the_path_and_leaves_nothing(
    aiko, registered, vault, orders, damage
):
    text = (orders / "注文の説明.txt").read_bytes()
    path = next(one for one in (vault / "data").rglob("*") if one.is_file() and one.read_bytes() == text)
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else bytes([text[0] ^ 0xFF]) + text[1:])
    failed = aiko.datakeep("-C", registered, "checkout", "orders", "copy", cwd=aiko.cwd, code=22)
    assert "注文の説明.txt" in failed.err
    assert "administrator" in failed.err
    assert [one.name for one in aiko.cwd.iterdir() if "copy" in one.name] == []
    failed = aiko.datakeep("checkout", "orders", "--json", cwd=registered, code=22)
    assert failed.data["error"]["id"] == "damaged-bytes"
    assert aiko.run("git", "status", "--porcelain", cwd=registered).out == ""


def test_a_receiver_sees_the_same_in_a_plain_clone(aiko, ken, registered, vault, orders):
    ken.run("git", "clone", "-q", vault / "git" / "keeps" / "keep.git", "theirs", cwd=ken.cwd)
    theirs = ken.cwd / "theirs"
    assert "orders" in ken.datakeep("list", cwd=theirs).out
    assert "5/5 files present and matching" in ken.datakeep("checkout", "orders", cwd=theirs).out
    assert data_of(theirs / "datasets/orders/data") == data_of(orders)
    assert ken.run("git", "status", "--porcelain", cwd=theirs).out == ""
    status = ken.run("git", "submodule", "status", "datasets/orders", cwd=theirs).out
    assert status.startswith(" ")
    assert ken.run("dvc", "status", cwd=theirs / "datasets/orders").out.strip().endswith("up to date.")


def test_a_killed_checkout_leaves_no_half_of_one_and_the_next_succeeds(aiko, registered, orders):
    for delay_s in (0.3, 0.7, 1.0, 1.3):
        process = aiko.start("checkout", "orders", cwd=registered)
        time.sleep(delay_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        place = registered / "datasets" / "orders"
        present = data_of(place / "data") if (place / "data").is_dir() else {}
        assert present in ({}, data_of(orders))
    assert "5/5 files present and matching" in aiko.datakeep("checkout", "orders", cwd=registered).out
    assert aiko.run("git", "status", "--porcelain", cwd=registered).out == ""
    assert list((registered / ".datakeep" / "checkout").glob(".*")) == []


def test_a_second_store_is_filled_and_serves(aiko, registered, vault, orders):
    added = aiko.datakeep("vault", "add", "nas", aiko.cwd / "nas", cwd=registered)
    assert "added" in added.out
    (vault / "data").rename(vault / "lost")
    assert "missing" in aiko.datakeep("vault", "list", cwd=registered, code=3).out
    assert "5/5" in aiko.datakeep("-C", registered, "checkout", "orders", "copy", cwd=aiko.cwd).out
    assert data_of(aiko.cwd / "copy" / "data") == data_of(orders)


def test_an_unmounted_store_is_said_to_be_missing_not_made_anew(aiko, registered, vault):
    (vault / "data").rename(vault / "elsewhere")
    failed = aiko.datakeep("-C", registered, "checkout", "orders", "copy", cwd=aiko.cwd, code=None)
    assert failed.code in (17, 22)
    assert "missing" in failed.err
    assert not (vault / "data").exists()
    assert not (aiko.cwd / "copy").exists()


def test_schemas_are_printed_for_every_kind(aiko):
    kinds = aiko.datakeep("schema", "--json").data["kinds"]
    assert {"dataset", "keep", "person", "version", "model"} <= set(kinds)
    for kind in kinds:
        assert json.loads(aiko.datakeep("schema", kind).out)["$schema"].startswith("https://json-schema.org/")
    assert "did you mean 'dataset'" in aiko.datakeep("schema", "datset", code=11).err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_works_in_each_shell(aiko, shell):
    aiko.extra["_DATAKEEP_COMPLETE"] = f"{shell}_source"
    assert "_DATAKEEP_COMPLETE" in aiko.run("datakeep").out
    aiko.extra |= {"_DATAKEEP_COMPLETE": f"{shell}_complete", "COMP_WORDS": "datakeep ch", "COMP_CWORD": "1"}
    if shell == "fish":
        aiko.extra["COMP_CWORD"] = "ch"
    assert "checkout" in aiko.run("datakeep").out


@pytest.mark.parametrize("argv", [["schema", "dataset"], []], ids=["answer", "completion"])
def test_a_pipe_without_a_reader_ends_as_git_does(aiko, argv):
    env = aiko.env | ({} if argv else {"_DATAKEEP_COMPLETE": "bash_source"})
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            ["datakeep", *argv], check=False, env=env, cwd=aiko.cwd, stdout=writing, stderr=subprocess.PIPE
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize(
    "argv",
    [["list"], ["show"], ["status"], ["log"], ["diff"], ["checkout"], ["audit"], ["vault", "list"], ["vault", "add"],
     ["schema"]],
)  # fmt: skip
def test_help_has_an_example_and_json(capsys, argv):
    assert boundary.run([*argv, "--help"]) == 0
    said = capsys.readouterr().out
    assert "Example" in said
    assert f"datakeep {' '.join(argv)}" in said
    assert "--json" in said
