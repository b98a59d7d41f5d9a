"""Registering, as a user does it."""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from seen import Quick, state

from datakeep.store import dvc_format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from world import World

STATED = (
    "--purpose=p", "--origin=o", "--extracted-at=2026-11-20", "--no-annotation=n", "--privacy=no",
    "--license=CC0-1.0", "--access=public",
)  # fmt: skip


@pytest.fixture(scope="module")
def calls(world: World) -> Iterator[Quick]:
    quick = Quick(world.aiko, type(world.aiko.run("true")))
    yield quick
    quick.close()


def manifest_of(calls: Quick, world: World, name: str) -> dict[str, Any]:
    return calls.datakeep("show", name, "--json", cwd=world.keep).data["entry"]["manifest"]


@pytest.mark.parametrize("backend", ["git", "dvc"])
def test_register_twice_changes_nothing(world: World, calls: Quick, backend: str) -> None:
    argv = ("register", f"twice-{backend}", world.orders, "--backend", backend, *STATED)
    first = calls.datakeep(*argv, cwd=world.keep)
    assert f"registered twice-{backend}@v1: 5 files" in first.out
    before = state(world)
    second = calls.datakeep(*argv, cwd=world.keep)
    assert "registered already, unchanged" in second.out
    assert calls.datakeep(*argv, "--json", cwd=world.keep).data["created"] is False
    assert state(world) == before
    assert world.aiko.run("git", "status", "--porcelain", cwd=world.keep).out == ""


def test_all_missing_facts_are_one_error(world: World, calls: Quick) -> None:
    before = state(world)
    ran = calls.datakeep("register", "incomplete", world.orders, "--backend", "git", cwd=world.keep, code=13)
    options = (
        "--purpose",
        "--origin",
        "--extracted-at",
        "--no-annotation",
        "--privacy",
        "--license",
        "--access",
    )
    for option in options:
        assert option in ran.err
    assert state(world) == before


def test_what_can_be_known_fills_itself(world: World, calls: Quick, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.csv").write_bytes("品名,個数,率\nねじ,3,0.5\n歯車,4,1.5\n".encode("shift_jis"))
    (source / "note.txt").write_text("x")
    calls.datakeep("register", "filled-csv", source, "--backend", "git", *STATED, cwd=world.keep)
    known = manifest_of(calls, world, "filled-csv")
    assert known["owner"] == {"name": "Aiko Tanaka", "email": "aiko@corp.example"}
    assert [(column["name"], column["type"]) for column in known["columns"]] == [
        ("品名", "string"), ("個数", "int64"), ("率", "double"),
    ]  # fmt: skip
    assert known["contents"]["formats"] == {"csv": 1, "txt": 1}
    assert known["contents"]["rows"] == 2
    assert known["contents"]["encodings"]["a.csv"].lower().replace("-", "_") in ("shift_jis", "cp932")


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_columns_of_other_formats(world: World, calls: Quick, tmp_path: Path, kind: str) -> None:
    rows = [{"id": 1, "shop": "東京"}, {"id": 2, "shop": "大阪"}]
    file = tmp_path / f"orders.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    calls.datakeep("register", f"of-{kind}", file, "--backend", "dvc", *STATED, cwd=world.keep)
    known = manifest_of(calls, world, f"of-{kind}")
    assert {column["name"]: column["type"] for column in known["columns"]} == {
        "id": "int64",
        "shop": "string",
    }
    assert known["contents"]["rows"] == 2


def test_files_become_data_by_their_names(world: World, calls: Quick, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "a.bin").write_bytes(b"a")
    (tmp_path / "far/b.bin").write_bytes(b"b")
    argv = ("register", "two", tmp_path / "a.bin", "far/b.bin", "--backend", "dvc", *STATED)
    calls.datakeep("-C", world.keep, *argv, cwd=tmp_path)
    calls.datakeep("-C", world.keep, "checkout", "two", "out", cwd=tmp_path)
    assert sorted(path.name for path in (tmp_path / "out/data").iterdir()) == ["a.bin", "b.bin"]


def test_unknown_is_an_answer_and_is_shown_as_unknown(world: World, calls: Quick) -> None:
    unknown = {
        "--purpose": "unknown", "--origin": "unknown", "--extracted-at": "unknown", "--no-annotation": "unknown",
        "--privacy": "unknown", "--license": "unknown", "--access": "unknown",
    }  # fmt: skip
    options = [word for pair in unknown.items() for word in pair]
    calls.datakeep("register", "mystery", world.orders, "--backend", "git", *options, cwd=world.keep)
    shown = calls.datakeep("show", "mystery", "--json", cwd=world.keep).data
    assert set(shown["unknown"]) >= {"purpose", "source.extracted_at", "privacy.personal", "license"}
    assert "unknown" in calls.datakeep("list", cwd=world.keep).out


def test_options_win_over_the_manifest_and_its_files_come_along(
    world: World, calls: Quick, tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/query.sql").write_text("SELECT 1 -- すべて\n", "utf-8")
    (tmp_path / "rules.md").write_text("# Rules\n")
    (tmp_path / "m.yaml").write_text(
        "purpose: from the file\nsource: {kind: sql, query: source/query.sql, database: 'postgresql://dwh/p', "
        "extracted_at: 2026-11-20}\nprivacy: {personal: 'no'}\nlicense: internal\naccess: {how: ask}\n"
    )
    argv = (
        "register", "won", world.orders, "--backend", "git", "--manifest", tmp_path / "m.yaml",
        "--purpose", "from the option", "--annotation-rules", tmp_path / "rules.md",
    )  # fmt: skip
    calls.datakeep(*argv, cwd=world.keep)
    known = manifest_of(calls, world, "won")
    assert (known["purpose"], known["annotation"]["rules"]) == ("from the option", "annotation/rules.md")
    git = ("git", "-C", world.vault / "git/datasets/won.git", "show")
    assert world.aiko.run(*git, "v1:source/query.sql").out == "SELECT 1 -- すべて\n"
    assert world.aiko.run(*git, "v1:annotation/rules.md").out == "# Rules\n"


def test_two_equal_files_are_one_object(world: World, calls: Quick) -> None:
    calls.datakeep("register", "shared", world.orders, "--backend", "dvc", *STATED, cwd=world.keep)
    md5 = hashlib.md5((world.orders / "same-a.bin").read_bytes()).hexdigest()
    key = dvc_format.object_key("shared", md5)
    assert (world.vault / "data" / key).is_file()
    objects = [path for path in (world.vault / "data/shared/files").rglob("*") if path.is_file()]
    assert len(objects) == 4 + 2  # four different files, DVC's list of them, and the inventory


def test_the_submodule_is_pinned_empty_and_everything_is_pushed(world: World, calls: Quick) -> None:
    calls.datakeep("register", "pinned", world.orders, "--backend", "dvc", *STATED, cwd=world.keep)
    entry = calls.datakeep("show", "pinned", "--json", cwd=world.keep).data["entry"]
    pinned = world.aiko.run("git", "ls-tree", "HEAD", "datasets/pinned", cwd=world.keep).out
    assert pinned == f"160000 commit {entry['commit']}\tdatasets/pinned\n"
    tag = world.aiko.run("git", "-C", world.vault / "git/datasets/pinned.git", "rev-parse", "v1^{commit}").out
    assert tag.strip() == entry["commit"]
    assert not list((world.keep / "datasets/pinned").glob("*"))
    head = world.aiko.run("git", "rev-parse", "HEAD", cwd=world.keep).out
    assert world.aiko.run("git", "-C", world.vault / "git/keeps/keep.git", "rev-parse", "main").out == head


@pytest.mark.parametrize("backend", ["dvc", "git"])
def test_every_byte_is_read_once_however_many_stores_take_it(
    new_world: Callable[..., World], tmp_path: Path, backend: str
) -> None:
    """As the kernel counts it; what a table's columns are is a look of its own, so these files are none."""
    world = new_world("--vault-data", tmp_path / "one", "--vault-data", tmp_path / "two")
    source = tmp_path / "source"
    source.mkdir()
    sizes = {f"{number}.bin": 1000 + number for number in range(60)} | {"large.bin": 9_000_000}
    for name, size_bytes in sizes.items():
        (source / name).write_bytes(random.Random(name).randbytes(size_bytes))
    trace = tmp_path / "trace"
    calls = "trace=read,readv,pread64,preadv,preadv2,copy_file_range,sendfile,mmap"
    argv = (sys.executable, "-m", "datakeep", "register", "new", source, "--backend", backend, *STATED)
    world.aiko.run("strace", "-ff", "--seccomp-bpf", "-y", "-e", calls, "-o", trace, *argv, cwd=world.keep)
    read: Counter[str] = Counter()
    lines = (
        line for part in tmp_path.glob("trace.*") for line in part.read_text(errors="replace").splitlines()
    )
    for line in lines:
        found = re.search(rf"<{re.escape(str(source))}/([^>]+)>.* = (\d+)", line)
        if found:
            assert "mmap(" not in line
            read[found[1]] += int(found[2])
    assert read == sizes


def test_splits_are_stated_by_options_and_pointed_out_where_none_is(world: World, calls: Quick) -> None:
    before = state(world)
    argv = ("register", "split", world.orders, "--backend", "git", *STATED)
    wrong = calls.datakeep(
        *argv, "--split", "train=train/**", "--split", "val=data/val/**", cwd=world.keep, code=2
    )
    assert "--split train=train/** matches no file" in wrong.err
    assert "--split 'train=data/train/**'" in wrong.err
    assert state(world) == before
    hinted = calls.datakeep(*argv, cwd=world.keep).out
    assert "the folders test, train look like splits, and none is declared" in hinted
    both = ("--split", "train=data/train/**", "--split", "test=data/test/**", "--split-group", "id")
    calls.datakeep("update", "split", *both, "-m", "splits", cwd=world.keep)
    calls.datakeep("update", "split", "--split", "test=data/test/orders.csv", "-m", "one", cwd=world.keep)
    assert manifest_of(calls, world, "split")["splits"] == {
        "train": ["data/train/**"], "test": ["data/test/orders.csv"], "group": "id",
    }  # fmt: skip
    calls.datakeep("update", "split", "--split", "x=data/none", "-m", "no", cwd=world.keep, code=2)


@pytest.mark.parametrize("backend", ["git", "dvc"])
def test_the_same_bytes_in_two_splits_are_told(
    world: World, calls: Quick, tmp_path: Path, backend: str
) -> None:
    for name, text in (("train/a", "id\n" * 40), ("test/t", "id\n" * 40), ("train/b", "b"), ("test/b", "b")):
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "s" / name).write_text(text)
    both = ("--split", "train=data/train/**", "--split", "test=data/test/**")
    name = f"in-two-splits-{backend}"
    made = calls.datakeep(
        "register", name, tmp_path / "s", "--backend", backend, *STATED, *both, cwd=world.keep
    )
    said = "the same bytes lie in two splits: data/test/t (test) and data/train/a (train)"
    assert said in made.err
    (tmp_path / "s/test/t").write_text("other\n" * 40)
    made = calls.datakeep("update", name, tmp_path / "s", "-m", "apart", cwd=world.keep)
    assert "two splits" not in made.err + made.out


def test_splits_of_a_manifest_are_held_against_the_files_too(
    world: World, calls: Quick, tmp_path: Path
) -> None:
    before, manifest = state(world), tmp_path / "handed.yaml"
    manifest.write_text("splits: {train: [train/**], test: [data/test/**], group: id}\n")
    argv = ("register", "handed", world.orders, "--backend", "git", *STATED, "--manifest", manifest)
    wrong = calls.datakeep(*argv, cwd=world.keep, code=2)
    assert f"the split train=train/** of {manifest} matches no file" in wrong.err
    assert "write 'data/train/**' for train in it" in wrong.err
    assert state(world) == before
    calls.datakeep(*argv, "--split", "train=data/train/**", cwd=world.keep)  # options win over it
    manifest.write_text(manifest.read_text().replace("[train/**]", "[data/training/**]"))
    wrong = calls.datakeep("update", "handed", "--manifest", manifest, "-m", "no", cwd=world.keep, code=2)
    assert "there is data/train" in wrong.err


#: Ctrl-C, as the terminal sends it, before or after a step of the way into vault and register.
INTERRUPTING = """
import os, signal, sys
import datakeep.repository.dataset as dataset, datakeep.repository.following as following
import datakeep.repository.keep as keep, datakeep.workflows.publish as publish

place, name, moment = sys.argv[1:4]
owner = {"dataset": dataset.DatasetRepository, "keep": keep.KeepRepository, "following": following,
         "publish": publish.Publisher}[place]
real, sent = getattr(owner, name), []

def interrupt():
    if not sent:
        sent.append(1)
        os.kill(os.getpid(), signal.SIGINT)

def stepped(*arguments, **named):
    if moment == "before":
        interrupt()
    done = real(*arguments, **named)
    if moment == "after":
        interrupt()
    return done

setattr(owner, name, stepped)
sys.argv[1:4] = []
from datakeep.cli import main
main()
"""


@pytest.mark.parametrize("backend", ["git", "dvc"])
@pytest.mark.parametrize(
    ("place", "name", "moment"),
    [("dataset", "publish", "before"), ("dataset", "publish", "after"), ("publish", "_enter", "before"),
     ("keep", "_publish", "after"), ("following", "_write", "before"), ("following", "_move_branch", "before")],
)  # fmt: skip
def test_from_the_first_push_on_an_interruption_changes_nothing(
    world: World, calls: Quick, tmp_path: Path, backend: str, place: str, name: str, moment: str
) -> None:
    """A tag that was pushed and not registered would cost the next run its number; a clone half moved is no clone."""
    program = tmp_path / "interrupting.py"
    program.write_text(INTERRUPTING)
    dataset = f"held-{place}-{name.strip('_').replace('_', '-')}-{moment}-{backend}"
    argv = ("register", dataset, world.orders, "--backend", backend, *STATED)
    ran = world.aiko.run(sys.executable, program, place, name, moment, *argv, cwd=world.keep)
    assert f"registered {dataset}@v1" in ran.out
    assert world.aiko.run("git", "status", "--porcelain", cwd=world.keep).out == ""
    assert "registered already, unchanged" in calls.datakeep(*argv, cwd=world.keep).out
    assert not (world.keep / ".datakeep/git-operation").exists()


@pytest.mark.parametrize("name", ["require_ready", "_try_push"])
def test_before_the_first_push_an_interruption_leaves_no_repository(
    world: World, calls: Quick, tmp_path: Path, name: str
) -> None:
    program = tmp_path / "interrupting.py"
    program.write_text(INTERRUPTING)
    dataset = f"left-{name.strip('_').replace('_', '-')}"
    argv = ("register", dataset, world.orders, "--backend", "dvc", *STATED)
    ran = world.aiko.run(sys.executable, program, "keep", name, "after", *argv, cwd=world.keep, code=130)
    assert "interrupted; nothing was recorded" in ran.err
    assert not [*world.vault.rglob(f"{dataset}.git")]
    assert f"registered {dataset}@v1" in calls.datakeep(*argv, cwd=world.keep).out
