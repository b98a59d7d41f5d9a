"""The ten rules of how datakeep must feel; each test fails where its rule is broken."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from seen import Quick, error_of, files_below, json_error_of
from server_process import PATIENCE_S, until

import datakeep as package
from datakeep.cli.group import COMMANDS, datakeep
from datakeep.store import dvc_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from world import Person, World

STATED = (
    "--purpose=p", "--origin=o", "--extracted-at=2026-11-20", "--no-annotation=n", "--privacy=no",
    "--license=CC0-1.0", "--access=public",
)  # fmt: skip
#: Modules that cost time to import, and that a help text does not need.
HEAVY = (
    "dvc",
    "pyarrow",
    "git",
    "pydantic",
    "boto3",
    "botocore",
    "rich",
    "obstore",
    "ruamel",
    "cryptography",
)


@pytest.fixture(scope="module")
def kept(world: World) -> World:
    world.register("orders")
    return world


@pytest.fixture(scope="module")
def calls(kept: World) -> Iterator[Quick]:
    quick = Quick(kept.aiko, type(kept.aiko.run("true")))
    yield quick
    quick.close()


@pytest.fixture(scope="module")
def innocent(kept: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the vault as it is when nothing has happened to it."""
    copy = tmp_path_factory.mktemp("innocent") / "vault"
    shutil.copytree(kept.vault, copy)
    return copy


@pytest.fixture
def vault(kept: World, innocent: Path) -> Iterator[Path]:
    """The vault, for a test that damages it; afterwards it and the keep are what they were."""
    yield kept.vault
    shutil.rmtree(kept.vault)
    shutil.copytree(innocent, kept.vault)
    shutil.rmtree(kept.keep / ".datakeep", ignore_errors=True)
    kept.aiko.run(
        "git", "fetch", "--quiet", "--force", "origin", "+main:refs/remotes/origin/main", cwd=kept.keep
    )
    kept.aiko.run("git", "reset", "--quiet", "--hard", "origin/main", cwd=kept.keep)


def object_of(vault: Path, orders: Path, path: str) -> Path:
    """The object of one file of ``orders`` in the store."""
    md5 = subprocess.run(["md5sum", "--", orders / path], capture_output=True, text=True, check=True).stdout[
        :32
    ]
    return vault / "data" / dvc_format.object_key("orders", md5)


def flip(file: Path) -> None:
    """One bit is another, at equal size."""
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)


# ---- 1: hash on read and on write; never exit 0 on unread bytes


def test_rule_1_a_flipped_byte_is_seen_by_all_that_reads(
    kept: World, calls: Quick, vault: Path, tmp_path: Path
) -> None:
    flip(object_of(vault, kept.orders, "train/orders.csv"))
    out = tmp_path / "out"
    ran = calls.datakeep("checkout", "orders", out, cwd=kept.keep, code=22)
    assert "train/orders.csv" in error_of(ran).what
    assert not out.exists()
    (tmp_path / "nas").mkdir()
    ran = calls.datakeep("vault", "add", "nas", tmp_path / "nas", cwd=kept.keep, code=22)
    assert "train/orders.csv" in error_of(ran).text
    assert "nas" not in (kept.keep / "keep.yaml").read_text()
    ran = calls.datakeep("verify", "orders", "--json", cwd=kept.keep, code=3)
    assert ran.data["at_fault"] == "bytes"
    assert "data/train/orders.csv" in json.dumps(ran.data["stages"])


def test_rule_1_a_changed_byte_of_a_checkout_is_seen(kept: World, calls: Quick, tmp_path: Path) -> None:
    out = tmp_path / "out"
    calls.datakeep("checkout", "orders", out, cwd=kept.keep)
    assert calls.datakeep("status", "orders", "--dir", out, cwd=kept.keep).code == 0
    file = out / "data" / "same-a.bin"
    before = file.stat()
    flip(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # size and time say that nothing happened
    ran = calls.datakeep("status", "orders", "--dir", out, cwd=kept.keep, code=3)
    assert "changed: same-a.bin" in ran.out


# ---- 2: store exactly what was hashed


@pytest.mark.parametrize("backend", ["git", "dvc"])
def test_rule_2_a_file_that_moves_under_us_is_refused_by_name(
    kept: World, tmp_path: Path, backend: str
) -> None:
    source = tmp_path / "export"
    source.mkdir()
    (source / "still.txt").write_text("still\n")
    moving = source / "moving.bin"
    moving.write_bytes(b"x" * (8 << 20))
    done = threading.Event()

    def go_on() -> None:
        with moving.open("ab") as file:
            while not done.is_set():
                file.write(b"y")
                file.flush()
                time.sleep(0.001)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        argv = ("register", f"moving-{backend}", source, "--backend", backend, *STATED)
        ran = kept.aiko.datakeep(*argv, cwd=kept.keep, code=16)
    finally:
        done.set()
        writer.join()
    said = error_of(ran)
    assert "moving.bin" in said.what
    assert "when the export has finished" in said.next_step
    assert f"moving-{backend}" not in kept.aiko.datakeep("list", cwd=kept.keep).out
    kept.aiko.datakeep(*argv, cwd=kept.keep)


# ---- 3: one positive verdict; absent content is never clean


def test_rule_3_one_positive_verdict(kept: World, calls: Quick, tmp_path: Path) -> None:
    ran = calls.datakeep("checkout", "orders", tmp_path / "out", cwd=kept.keep)
    assert "5/5 files present and matching" in ran.out
    ran = calls.datakeep("status", "orders", "--dir", tmp_path / "out", cwd=kept.keep)
    assert "5/5 files present and matching" in ran.out
    ran = calls.datakeep("verify", "orders", cwd=kept.keep, code=13)  # it has no reference training
    assert "5/5 files present and matching" in ran.err


def test_rule_3_absent_content_is_never_clean(kept: World, calls: Quick, vault: Path, tmp_path: Path) -> None:
    ran = calls.datakeep("status", "orders", cwd=kept.keep, code=3)
    assert "0/5 files present" in ran.out
    out = tmp_path / "out"
    calls.datakeep("checkout", "orders", out, cwd=kept.keep)
    (out / "data/same-a.bin").unlink()
    ran = calls.datakeep("status", "orders", "--dir", out, cwd=kept.keep, code=3)
    assert "4/5 files present and matching" in ran.out
    assert "removed: same-a.bin" in ran.out
    object_of(vault, kept.orders, "train/orders.csv").unlink()
    ran = calls.datakeep("checkout", "orders", tmp_path / "other", cwd=kept.keep, code=22)
    assert "1 of 5 files" in error_of(ran).what
    assert "train/orders.csv" in error_of(ran).what


# ---- 4: facts are options; asked for on a terminal, echoed back, shown by show


def on_terminal(
    person: Person, argv: list[str | Path], answers: list[tuple[str, str]], cwd: Path
) -> tuple[int, str]:
    """The exit code and screen of a call on a terminal; each of ``answers`` is typed after its question appears."""
    main, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "datakeep", *map(str, argv)],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env={**person.env, "TERM": "xterm"},
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    screen, seen, deadline = "", 0, time.monotonic() + PATIENCE_S
    waiting = list(answers)
    while time.monotonic() < deadline:
        if select.select([main], [], [], 0.2)[0]:
            try:
                data = os.read(main, 65536)
            except OSError:  # the last program on the terminal has gone
                break
            screen += data.decode("utf-8", "replace")
        if waiting and waiting[0][0] in screen[seen:]:
            seen = len(screen)
            os.write(main, waiting.pop(0)[1].encode() + b"\n")
    os.close(main)
    code = process.wait(PATIENCE_S)
    assert not waiting, f"never asked: {waiting}\n{screen}"
    return code, screen


def test_rule_4_missing_facts_are_asked_for_and_shown(kept: World, calls: Quick) -> None:
    answers = [
        ("whether these are its splits: test=data/test/**, train=data/train/**", "yes"),
        ("purpose", "毎月の受注を予測する"),
        ("origin", "the shop"),
        ("extracted-at", "last week"),  # no day: asked again at once
        ("'last week'", "2026-11-20"),
        ("annotation", ""),  # Enter alone is no answer
        ("an answer is needed", "no one labelled"),
        ("there is no file 'no one labelled'; if there are no rules, answer none: WHY", ""),
        ("annotation", "no-such-file.md"),
        ("there is no file 'no-such-file.md'", "None:"),
        ("annotation.none: ", "none: the shop counts, nobody labels"),
        ("privacy", "perhaps"),  # not one of the choices: asked again
        ("privacy", "no"),
        ("license", "internal"),
        ("access", "ask Aiko"),
    ]
    argv: list[str | Path] = ["register", "asked", kept.orders, "--backend", "git"]
    code, screen = on_terminal(kept.aiko, argv, answers, kept.keep)
    assert code == 0, screen
    assert "registered asked@v1" in screen
    shown = calls.datakeep("show", "asked", cwd=kept.keep).out
    for fact in ("毎月の受注を予測する", "the shop", "2026-11-20", "nobody labels", "internal", "ask Aiko"):
        assert fact in shown


def test_rule_4_every_fact_has_an_option_and_is_shown(kept: World, calls: Quick, tmp_path: Path) -> None:
    (tmp_path / "q.sql").write_text("SELECT 1\n")
    (tmp_path / "rules.md").write_text("rules\n")
    stated = {
        "--title": "a title", "--purpose": "a purpose", "--owner": "Mori <mori@corp.example>",
        "--steward": "Abe <abe@corp.example>", "--target": "late", "--metric": "accuracy", "--source-kind": "sql",
        "--origin": "an origin", "--source-url": "https://corp.example/page", "--query": str(tmp_path / "q.sql"),
        "--dialect": "postgres", "--database": "postgresql://dwh/plant", "--source-command": "a command",
        "--extracted-at": "2026-11-20", "--extracted-by": "abe@corp.example", "--valid-from": "2018-04-01",
        "--valid-to": "2026-10-31", "--annotation-rules": str(tmp_path / "rules.md"), "--annotation-version": "7",
        "--annotation-tool": "labelImg 1.8", "--class": "worn", "--annotator": "kato@corp.example",
        "--caveat": "a caveat", "--privacy": "pseudonymised", "--privacy-basis": "a basis",
        "--retention-until": "2030-01-01", "--privacy-decided-by": "dpo@corp.example", "--license": "a licence",
        "--access": "an access", "--access-granted-by": "dwh-admins", "--alias": "earlier-name",
        "--parent": "orders@v1", "--split": "train=data/**", "--split-group": "customer",
        "--split-time": "ordered_at",
    }  # fmt: skip
    options = [word for pair in stated.items() for word in pair]
    calls.datakeep("register", "stated", kept.orders, "--backend", "git", *options, cwd=kept.keep)
    shown = calls.datakeep("show", "stated", "--json", cwd=kept.keep)
    text = calls.datakeep("show", "earlier-name", cwd=kept.keep).out
    replaced = {"--split": "data/**", "--query": "source/q.sql", "--annotation-rules": "annotation/rules.md"}
    for option, value in stated.items():
        for part in replaced.get(option, value).rstrip(">").split(" <"):
            assert part in shown.out, option
            assert part in text, option
    from datakeep.workflows.facts import FACTS

    assert {fact.option for fact in FACTS} == {*stated, "--no-annotation"}


def test_rule_4_what_cannot_be_stored_is_an_error(kept: World, calls: Quick) -> None:
    """A fact that has no place is refused, not dropped."""
    for argv in (("--desc", "x"), ("--privacy", "perhaps")):
        ran = calls.datakeep("register", "x", kept.orders, "--backend", "git", *argv, cwd=kept.keep, code=2)
        assert error_of(ran)


# ---- 5: one publish moves pointer and data, data first


def test_rule_5_the_data_goes_first_and_the_entry_last(kept: World, calls: Quick, vault: Path) -> None:
    argv = ("register", "late", kept.orders, "--backend", "dvc", *STATED)
    stores, keeps = vault / "data", vault / "git/keeps/keep.git"
    stores.rename(vault / "gone")
    calls.datakeep(*argv, cwd=kept.keep, code=17)
    (vault / "gone").rename(stores)
    assert not (vault / "git/datasets/late.git/refs/tags/v1").exists(), "a pointer without its data"
    keeps.rename(vault / "gone.git")
    ran = calls.datakeep(*argv, cwd=kept.keep, code=None)
    assert ran.code != 0
    (vault / "gone.git").rename(keeps)
    assert "late" not in calls.datakeep("list", cwd=kept.keep).out
    calls.datakeep(*argv, cwd=kept.keep)
    head = kept.aiko.run("git", "rev-parse", "HEAD", cwd=kept.keep).out
    assert kept.aiko.run("git", "-C", keeps, "rev-parse", "main").out == head, (
        "registered here, and nowhere else"
    )


def test_rule_5_what_the_vault_lost_is_said_with_what_brings_it_back(
    kept: World, calls: Quick, vault: Path
) -> None:
    for ref in ("refs/tags/v1", "refs/heads/main"):
        kept.aiko.run("git", "-C", vault / "git/datasets/orders.git", "update-ref", "-d", ref)
    ran = calls.datakeep("verify", "orders", cwd=kept.keep, code=3)
    assert "has lost the tag v1; orders@v1 was pushed there" in ran.out
    assert "who must act: the vault's administrator" in ran.out
    assert "next: whoever may write to the vault brings it back: datakeep fsck --repair" in ran.out
    ran = calls.datakeep("checkout", "orders", cwd=kept.keep, code=None)
    assert "has lost the tag v1" in error_of(ran).what
    assert "datakeep fsck --repair" in error_of(ran).next_step


# ---- 6: never make a store implicitly


def test_rule_6_a_missing_store_is_not_made(kept: World, calls: Quick, vault: Path) -> None:
    (vault / "data").rename(vault / "elsewhere")
    for argv in (
        ("register", "x", kept.orders, "--backend", "dvc", *STATED),
        ("checkout", "orders", vault.parent / "out"),
        ("update", "orders", kept.orders, "-m", "x"),
    ):
        ran = calls.datakeep(*argv, cwd=kept.keep, code=17)
        assert f"{vault / 'data'}" in error_of(ran).text
        assert "is the share mounted?" in error_of(ran).text
    assert not (vault / "data").exists()
    assert not (vault.parent / "out").exists()


def test_rule_6_missing_unmarked_and_read_only_are_different_words(
    kept: World, calls: Quick, vault: Path
) -> None:
    argv = ("register", "x", kept.orders, "--backend", "dvc", *STATED)
    (vault / "data/datakeep-store.json").rename(vault / "marker")
    ran = calls.datakeep(*argv, "--json", cwd=kept.keep, code=17)
    assert json_error_of(ran)["id"] == "store-unmarked"
    assert "datakeep-store.json" in ran.data["error"]["what"]
    (vault / "marker").rename(vault / "data/datakeep-store.json")
    inside = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = (sys.executable, "-m", "datakeep", *argv, "--json")
    ran = kept.aiko.run(
        "unshare", "-Urm", "sh", "-c", inside, vault / "data", *command, cwd=kept.keep, code=18
    )
    assert "read-only" in json_error_of(ran)["what"]


# ---- 7: every error names the thing, the cause, and a command that exists


def test_rule_7_a_hundred_equal_failures_are_one_line_with_a_count(
    kept: World, calls: Quick, tmp_path: Path
) -> None:
    for number in range(100):
        (tmp_path / f"link-{number:02}").symlink_to("nowhere")
    argv = ("register", "x", tmp_path, "--backend", "dvc", *STATED)
    ran = calls.datakeep(*argv, cwd=kept.keep, code=15)
    said = error_of(ran)
    assert said.what.startswith("100 ")
    assert len(said.things) <= 11
    assert "90 more" in said.things[-1]
    things = json_error_of(calls.datakeep(*argv, "--json", cwd=kept.keep, code=15))["things"]
    assert len(things) == 100


def test_rule_7_japanese_is_japanese_everywhere(kept: World, calls: Quick, tmp_path: Path) -> None:
    (tmp_path / "受注 一覧.csv").symlink_to("nowhere")
    argv = ("register", "x", tmp_path, "--backend", "dvc", *STATED)
    assert "'受注 一覧.csv'" in calls.datakeep(*argv, cwd=kept.keep, code=15).err
    assert "'受注 一覧.csv'" in calls.datakeep(*argv, "--json", cwd=kept.keep, code=15).out
    out = tmp_path / "out"
    calls.datakeep("checkout", "orders", out, cwd=kept.keep)
    (out / "data/注文の説明.txt").write_text("x")
    assert "注文の説明.txt" in calls.datakeep("status", "orders", "--dir", out, cwd=kept.keep, code=3).out
    assert (
        "注文の説明.txt"
        in calls.datakeep("status", "orders", "--dir", out, "--json", cwd=kept.keep, code=3).out
    )


def test_rule_7_an_error_names_a_path_and_not_a_bare_hash(kept: World, calls: Quick, vault: Path) -> None:
    for damage in (flip, Path.unlink, lambda file: file.write_bytes(b"")):
        lost = object_of(vault, kept.orders, "train/orders.csv")
        saved = lost.read_bytes()
        lost.chmod(0o644)
        damage(lost)
        ran = calls.datakeep("checkout", "orders", cwd=kept.keep, code=22)
        said = error_of(ran)
        assert "train/orders.csv" in said.what
        assert not re.search(r"\b[0-9a-f]{32}\b", said.what + said.next_step)
        lost.write_bytes(saved)


def printed_commands() -> Iterator[tuple[str, str]]:
    """Every command that the source tells a user to type: file and text, ``X`` for what is filled in."""
    for file in sorted(Path(package.__file__).parent.rglob("*.py")):
        tree = list(ast.walk(ast.parse(file.read_text("utf-8"))))
        parts = {id(part) for node in tree if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in tree:
            text = None
            if id(node) in parts:
                continue
            if isinstance(node, ast.keyword) and node.arg == "next_step":
                text = words(node.value)
            elif isinstance(node, ast.JoinedStr | ast.Constant) and words(node).lstrip().startswith("next: "):
                text = words(node)
            for found in re.finditer(r"(?<![\w/.-])datakeep ((?:-C \S+ )?[a-z][^`;:()]*)", text or ""):
                yield file.name, found[1]


def words(node: ast.expr) -> str:
    """The text of a string expression."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(words(part) if isinstance(part, ast.Constant) else "X" for part in node.values)
    if isinstance(node, ast.BinOp):
        return words(node.left) + words(node.right)
    return words(node.body) + " ; " + words(node.orelse) if isinstance(node, ast.IfExp) else ""


def all_commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in COMMANDS:
        command = datakeep.get_command(click.Context(datakeep), name)
        assert command
        if isinstance(command, click.Group):
            yield from (((name, inner), command.commands[inner]) for inner in command.commands)
        else:
            yield (name,), command


def options_of(command: click.Command) -> set[str]:
    stated = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    return stated | {"--help", "-h"}


def test_rule_7_every_printed_command_exists() -> None:
    known = dict(all_commands())
    groups = {path[0] for path in known if len(path) == 2}
    printed = list(printed_commands())
    assert len(printed) > 40
    for file, text in printed:
        typed = re.split(r"[\s,]+", re.sub(r"'[^']*'", "WORDS", text).strip())
        path = tuple(typed[:2]) if typed[0] in groups else (typed[0],)
        assert path in known, f"{file}: datakeep {text}"
        for word in typed:
            if re.fullmatch(r"--?[a-z][a-z-]*", word):
                assert word in options_of(known[path]), f"{file}: datakeep {text}"
        if path == ("update",):
            assert "-m" in typed, f"{file}: datakeep {text}: cannot be typed without -m WHY"


def test_rule_7_the_command_that_is_printed_can_be_typed(kept: World, calls: Quick) -> None:
    """The next steps of a real walk, as they were printed."""
    shown = calls.datakeep("register", "walk", kept.orders, "--backend", "git", cwd=kept.keep, code=13)
    line = error_of(shown).next_step.partition("   (")[0]
    for placeholder, value in (
        ("--annotation-rules FILE", "--no-annotation n"),
        ("--privacy 'yes|pseudonymised|no|unknown'", "--privacy no"),
        ("--extracted-at TEXT", "--extracted-at 2026-11-20"), ("TEXT", "words"),
    ):  # fmt: skip
        assert placeholder in line
        line = line.replace(placeholder, value)
    calls.datakeep(*shlex.split(line)[1:], cwd=kept.keep)
    for argv in (("list",), ("show", "walk"), ("log", "walk"), ("status",), ("vault", "list")):
        ran = calls.datakeep(*argv, cwd=kept.keep, code=None)
        for typed in re.findall(r"next: (datakeep (?:show|log|status|diff|list)[^;]*)", ran.out):
            first = re.split(r" (?:tells|lists|gets|makes) ", typed)[0]
            calls.datakeep(*shlex.split(first)[1:], cwd=kept.keep, code=None)


# ---- 8: all or nothing; space first; Ctrl-C


def test_rule_8_space_is_checked_first_and_nothing_is_left(kept: World, tmp_path: Path) -> None:
    disk, big = tmp_path / "disk", tmp_path / "big.bin"
    disk.mkdir()
    with big.open("wb") as file:
        file.truncate(64 << 20)
    script = (
        'mount -t tmpfs -o size=8m tmpfs "$1" && datakeep init "$2" --vault-data "$1/store" >&2 && cd "$2"'
        ' && { datakeep register big "$3" --backend dvc "${@:4}"; code=$?; }; find "$1/store" -type f; exit $code'
    )
    argv = ("unshare", "-Urm", "bash", "-c", script, "x", disk, tmp_path / "keep", big, *STATED)
    ran = kept.aiko.run(*argv, code=19)
    assert re.search(
        r"error: need [0-9.]+ MB more on .*/disk/store.*: [0-9.]+ MB are needed, [0-9.]+ [kM]?B", ran.err
    )
    assert [Path(line).name for line in ran.out.split()] == ["datakeep-store.json"]
    assert kept.aiko.datakeep("list", "--json", cwd=tmp_path / "keep").data["datasets"] == []


def test_rule_8_ctrl_c_says_that_nothing_was_recorded(kept: World, tmp_path: Path) -> None:
    """git is held up while it takes the bytes in, so that the interruption comes at a known moment."""
    tools, reached = tmp_path / "tools", tmp_path / "reached"
    tools.mkdir()
    real = shutil.which("git")
    (tools / "git").write_text(
        f'#!/bin/sh\ncase " $* " in *" fast-import "*) touch {reached}; sleep 600;; esac\nexec {real} "$@"\n'
    )
    (tools / "git").chmod(0o755)
    before = files_below(kept.keep, without=(".git", ".datakeep"))
    argv = ("register", "interrupted", kept.orders, "--backend", "git", *STATED)
    env = {**kept.aiko.env, "PATH": f"{tools}:{kept.aiko.env['PATH']}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "datakeep", *map(str, argv)],
        cwd=kept.keep, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until(lambda: reached.exists() or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "nothing was recorded" in err
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert files_below(kept.keep, without=(".git", ".datakeep")) == before
    assert "interrupted" not in kept.aiko.datakeep("list", cwd=kept.keep).out
    kept.aiko.datakeep(*argv, cwd=kept.keep)


def test_rule_8_ctrl_c_in_a_string_of_code_ends_with_the_same_exit_code(kept: World) -> None:
    """Python would die of the signal where the interruption met the making of a dataclass."""
    code = (
        "import datakeep.workflows.listing as listing\n"
        "listing.list_datasets = lambda *a, **k: exec('raise KeyboardInterrupt')\n"
        "from datakeep.cli import main\n"
        "main()\n"
    )
    file = kept.aiko.cwd / "interrupted.py"
    file.write_text(code)
    argv = (sys.executable, "-m", file.stem, "-C", kept.keep, "list")
    ran = kept.aiko.run(*argv, cwd=file.parent, code=130)
    assert "nothing was recorded" in ran.err


# ---- 9: warn of what breaks on a colleague's machine


def test_rule_9_what_breaks_elsewhere_is_refused_or_warned_of(
    kept: World, calls: Quick, tmp_path: Path
) -> None:
    nfc, nfd = (unicodedata.normalize(form, "が.txt") for form in ("NFC", "NFD"))
    for number, (names, said) in enumerate(
        (((nfc, nfd), "NFC"), (("A.txt", "a.txt"), "ignores case"), (("Ａ/x", "ａ/y"), "ignores case"))
    ):
        folder = tmp_path / f"twins-{number}"
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
        ran = calls.datakeep("register", "x", folder, "--backend", "dvc", *STATED, cwd=kept.keep, code=15)
        assert said in ran.err
    links = tmp_path / "links"
    links.mkdir()
    (links / "loop").symlink_to(".")
    (links / "dangling").symlink_to("nowhere")
    (links / "outside").symlink_to("/etc/passwd")
    (links / "fine.txt").write_text("x")
    ran = calls.datakeep("register", "x", links, "--backend", "dvc", *STATED, cwd=kept.keep, code=15)
    for name in ("'loop'", "'dangling'", "'outside'"):
        assert name in ran.err
    empty = tmp_path / "empty"
    (empty / "logs/old").mkdir(parents=True)
    (empty / "fine.txt").write_text("x")
    ran = calls.datakeep("register", "hollow", empty, "--backend", "dvc", *STATED, cwd=kept.keep)
    assert "empty folders are not kept (1): logs/old" in ran.out + ran.err


def test_rule_9_a_relative_path_is_the_users_and_nothing_else_is_taken(
    kept: World, calls: Quick, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/mine.txt").write_text("mine")
    (tmp_path / "neighbour.txt").write_text("not mine")
    (kept.keep / "here").mkdir()
    (kept.keep / "here/not-mine.txt").write_text("not mine")
    try:
        argv = ("-C", kept.keep, "register", "mine", "here", "--backend", "dvc", *STATED)
        calls.datakeep(*argv, cwd=tmp_path)
    finally:
        shutil.rmtree(kept.keep / "here")
    calls.datakeep("-C", kept.keep, "checkout", "mine", "out", cwd=tmp_path)
    assert [path.name for path in (tmp_path / "out/data").iterdir()] == ["mine.txt"]


# ---- 10: one command per question; --json, help, did-you-mean, completion, start-up


def test_rule_10_the_answer_is_printed_even_when_it_is_same(kept: World, calls: Quick) -> None:
    ran = calls.datakeep("diff", "orders@v1", "orders@v1", cwd=kept.keep)
    assert "orders@v1 and orders@v1: same (5 files" in ran.out
    assert (
        "nothing differs from orders@v1" in calls.datakeep("update", "orders", "-m", "x", cwd=kept.keep).out
    )


def test_rule_10_a_metric_is_shown_beside_what_was_expected(kept: World) -> None:
    kept.register("trained", "dvc")
    kept.reference("trained")
    ran = kept.aiko.datakeep("verify", "trained", cwd=kept.keep)
    assert re.search(r"accuracy 0\.75 = 0\.75 \(±0\.01(, trivial 0\.5)?\) PASS", ran.out + ran.err)


def test_rule_10_every_command_has_json_and_help_with_an_example_that_parses() -> None:
    for path, command in all_commands():
        name = " ".join(("datakeep", *path))
        assert {"--json", "-C"} <= options_of(command), name
        assert command.help, name
        assert command.help.split("\n")[0].strip(), name
        examples = example_lines(command.help, name)
        assert examples, f"{name} has no example"
        for line in examples:
            argv = shlex.split(re.split(r"\s[>|]\s|&&", line)[0])
            assert argv[1 : len(path) + 1] == list(path), f"{name}: {line}"
            with command.make_context(name, argv[len(path) + 1 :]):
                pass


def example_lines(text: str, name: str) -> list[str]:
    """The lines below ``Example:`` that begin with the command's name; a backslash goes on with the next one."""
    _, _, after = text.partition("Example:")
    joined = re.sub(r"\\\n\s*", "", after)
    return [line.strip() for line in joined.splitlines() if line.strip().startswith(name)]


def test_rule_10_did_you_mean(kept: World, calls: Quick) -> None:
    for argv, said in (
        (["regster"], "Did you mean 'register'?"),
        (["people", "dpart"], "Did you mean 'depart'?"),
        (["register", "--purpos", "x"], "Did you mean '--purpose'?"),
        (["list", "--jsn"], "Did you mean '--json'?"),
        (["show", "ordrs"], "did you mean 'orders'?"),
    ):
        ran = calls.datakeep(*argv, cwd=kept.keep, code=None)
        assert ran.code in (2, 11)
        assert said in error_of(ran).what


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_rule_10_completion(kept: World, shell: str) -> None:
    def asked(**variables: str) -> str:
        argv = ["env", *(f"{name}={value}" for name, value in variables.items()), "datakeep"]
        return kept.aiko.run(*argv, code=None).out

    script = asked(_DATAKEEP_COMPLETE=f"{shell}_source")
    assert "datakeep" in script
    assert f"_DATAKEEP_COMPLETE={shell}_complete" in script
    completed = asked(
        _DATAKEEP_COMPLETE=f"{shell}_complete",
        COMP_WORDS="datakeep reg",
        COMP_CWORD="1" if shell != "fish" else "reg",
    )
    assert "register" in completed
    options = asked(
        _DATAKEEP_COMPLETE=f"{shell}_complete", COMP_WORDS="datakeep verify --sand",
        COMP_CWORD="2" if shell != "fish" else "--sand",
    )  # fmt: skip
    assert "--sandbox" in options


def test_rule_10_completion_works_in_bash(kept: World) -> None:
    script = (
        'eval "$(_DATAKEEP_COMPLETE=bash_source datakeep)"; COMP_WORDS=(datakeep sch); COMP_CWORD=1; '
        '_datakeep_completion datakeep sch datakeep; echo "${COMPREPLY[@]}"'
    )
    assert kept.aiko.run("bash", "-c", script).out.strip() == "schema"


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["-h"], ["regster"]])
def test_rule_10_nothing_heavy_is_loaded_for_a_word_of_help(kept: World, argv: list[str]) -> None:
    code = (
        "import sys\n"
        "from datakeep.cli.boundary import run\n"
        "run(sys.argv[1:])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    ran = kept.aiko.run(sys.executable, "-c", code, *argv)
    loaded = set(ran.err.splitlines()[-1].split())
    assert "click" in loaded
    assert not loaded & set(HEAVY)


def test_rule_10_json_is_only_json(kept: World, calls: Quick) -> None:
    answers: dict[str, Any] = {
        argv: calls.datakeep(*argv.split(), "--json", cwd=kept.keep, code=None)
        for argv in ("list", "show orders", "status", "log orders", "diff orders@v1 orders@v1", "people list",
                     "vault list", "schema", "schema dataset", "audit dataset:orders")
    }  # fmt: skip
    for argv, ran in answers.items():
        assert isinstance(ran.data, dict), argv
        assert ran.err == "", argv
