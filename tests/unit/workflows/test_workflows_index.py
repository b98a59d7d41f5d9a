"""The index of a real keep: whatever was committed, killed or done at once, it equals one made from nothing."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from datakeep.core.errors import InvalidFile
from datakeep.core.progress import Silent
from datakeep.repository.keep import Change
from datakeep.workflows import index as opening
from datakeep.workflows.audit import audit
from datakeep.workflows.find import find
from datakeep.workflows.keep import open_keep
from datakeep.workflows.used_by import UsedBy
from datakeep.workflows.whatis import whatis

if TYPE_CHECKING:
    from datakeep.lineage.index import Index

_TABLES = {
    "entry": "path, object, kind, name, number, fault, data",
    "version": "*",
    "artifact": "*",
    "leads": "*",
    "lost": "*",
    "wanting": "path, dataset, number, files, sql",
    "query": "*",
    "object": "*",
    "doc": "kind, name, field, number, text, folded",
    "shape": "name, folded",
    "wanted": "*",
    "word": "word, uses",
    "inventory": "digest, files",
}
_FORMAT = ("-m", "datakeep")


def contents(keep) -> dict[str, list]:
    """All that the kept index says, lists of files taken in."""

    def question(index: Index) -> dict[str, list]:
        assert index.temporary is None
        return {
            table: sorted(map(repr, index.database.execute(f"SELECT {columns} FROM {table}")))
            for table, columns in _TABLES.items()
        }

    return opening.ask(keep, question)


def from_nothing(keep) -> dict[str, list]:
    for path in keep.cache().glob("index-*"):
        path.unlink()
    return contents(keep)


def record(
    name: str, number: int, inputs: list[str], *, bases: tuple[str, ...] = (), sha256: str = "ab" * 32
) -> str:
    return json.dumps(
        {
            "format": "datakeep/model/1",
            "model": name,
            "version": f"v{number}",
            "artifacts": [{"path": f"{name}.bin", "sha256": sha256, "size_bytes": 3}],
            "inputs": [
                {
                    "dataset": one.partition("@")[0],
                    "version": one.partition("@")[2],
                    "commit": "4f" * 20,
                    "content": f"sha256:{'77' * 32}",
                    "how": "declared",
                }
                for one in inputs
            ],
            "base_models": list(bases),
            "code": {},
            "command": ["x"],
            "environment": {"kind": "uv"},
            "resources": {},
            "origin": "run",
        }
    )


def _change(rnd: random.Random, text: str) -> dict[str, str | None]:
    """Some files that come, change, break, move or go."""
    files: dict[str, str | None] = {}
    for _ in range(rnd.randint(1, 4)):
        name, number = rnd.choice(["a", "b", "orders", "old"]), rnd.randint(1, 2)
        kind = rnd.choice(["register", "register", "models", "people"])
        path = f"{kind}/{name}.yaml" if kind == "people" else f"{kind}/{name}/v{number}.yaml"
        if path == "register/orders/v1.yaml":
            continue
        what = rnd.choice(["whole", "whole", "whole", "broken", "gone", "another's"])
        if what == "gone":
            files[path] = None
        elif what == "broken":
            files[path] = "format: ["
        elif kind == "people":
            files[path] = f"format: datakeep/person/1\nname: {name}\nemail: {name}@x.example\nkeys: []\n"
        elif kind == "models":
            inputs = rnd.sample(["orders@v1", "a@v1", "b@v2", "old@v1", "gone@v3"], 2)
            said = number if what == "whole" else number + 1
            files[path] = record(name, said, inputs, bases=tuple(rnd.sample(["a@v1", "b@v1", "never@v1"], 1)))
        else:
            aliases = rnd.choice(["[]", "[old]", "[gone, old]"])
            version = text.replace("version: v1", f"version: v{number if what == 'whole' else number + 1}", 1)
            version = version.replace("dataset: orders", f"dataset: {name}", 1)
            files[path] = f"{version.rstrip()}\n  aliases: {aliases}\n"
    return files


@pytest.mark.parametrize("seed", range(3))
def test_after_any_commits_it_is_one_made_from_nothing(bench, seed):
    bench.register("orders", backend="git", caveats=None)
    text = bench.keep.tree.read("register/orders/v1.yaml").decode()
    rnd = random.Random(seed)
    contents(bench.reopen())
    for step in range(6):
        files = _change(rnd, text)
        there = set(bench.keep.tree.list())
        files = {path: one for path, one in files.items() if one is not None or path in there}
        if files:
            bench.commit(**{f"{path}": one for path, one in files.items()})
        if step % 3 == 2:
            followed = contents(bench.reopen())
            assert followed == from_nothing(bench.reopen())
    followed = contents(bench.reopen())
    assert any("orders" in row for row in followed["inventory"] + followed["version"])
    assert followed == from_nothing(bench.reopen())


@pytest.fixture
def large(bench):
    """A keep of some hundred records, a hundred of them broken."""
    bench.register("orders", backend="git")
    files = {
        f"models/m{number}/v1.yaml": record(f"m{number}", 1, ["orders@v1"], sha256=f"{number:064x}")
        for number in range(300)
    }
    files |= {f"models/bad{number}/v1.yaml": "inputs: [orders" for number in range(50)}
    files |= {f"register/bad{number}/v1.yaml": "no: entry" for number in range(50)}
    bench.commit(**files)
    return bench.reopen()


def ask(keep, *argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *_FORMAT, *argv, "-C", str(keep.root), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_hundred_broken_files_take_nothing_away_and_are_named(large):
    found = whatis(large, f"{7:064x}")
    assert [one.name for one in found.meanings] == ["m7"]
    assert len(found.broken) == 100
    entries = [path for path, _ in found.broken if path.startswith("register/")]
    of_files = find(large, ["no-such.csv"], kind="file").broken  # whose lists of files nobody knows
    assert entries
    assert [path for path, _ in of_files] == entries
    assert find(large, ["m42"]).found[0].name == "m42"
    used = audit(large, "dataset:orders", now=None)
    assert isinstance(used, UsedBy)
    assert (len(used.records), len(used.broken)) == (
        300,
        100,
    )  # an entry that is broken might have told more, too


def test_two_processes_at_once_answer_and_leave_one_whole_index(large):
    both = [ask(large, "whatis", f"{number:064x}") for number in (1, 2)]
    for number, process in enumerate(both, 1):
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert [one["name"] for one in json.loads(out)["meanings"]] == [f"m{number}"]
    assert contents(large) == from_nothing(large)


@pytest.mark.parametrize("after_s", [0.3, 0.5, 0.7, 1.0])
def test_a_kill_leaves_nothing_that_a_question_could_stumble_over(large, after_s):
    process = ask(large, "whatis", f"{5:064x}")
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [one.name for one in whatis(large, f"{5:064x}").meanings] == ["m5"]
    assert contents(large) == from_nothing(large)


def test_a_half_written_index_is_made_anew(large):
    expected = contents(large)
    (path,) = large.cache().glob("index-*.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    data = path.read_bytes()
    for damage in (data[: len(data) // 2], data[:100] + b"\0" * (len(data) - 100), b""):
        path.write_bytes(damage)
        assert [one.name for one in whatis(large, f"{5:064x}").meanings] == ["m5"]
        assert contents(large) == expected


def test_lists_that_come_later_are_found_and_nothing_else_is_looked_at(bench):
    bench.register("orders", backend="git")
    other = bench.folder / "other"
    other.mkdir()
    (other / "a.txt").write_text("beta")
    bench.register("pumps", backend="git", source=other)
    keep = bench.reopen()
    assert not whatis(keep, "sha256:" + "0" * 64).not_searched
    cache = keep.cache("datasets", "orders.git")
    cache.rename(cache.with_name("elsewhere"))
    from_nothing(keep)
    (lacking,) = find(keep, ["a.txt"], kind="file").not_searched
    assert "1 version" in lacking
    assert "orders@v1" in lacking
    assert [one.name for one in find(keep, ["a.txt"], kind="file").found] == ["pumps"]
    keep.dataset_repository("orders").fetch()
    found = find(keep, ["a.txt"], kind="file")
    assert ({one.name for one in found.found}, found.not_searched) == ({"orders", "pumps"}, ())


def test_settings_that_were_whole_and_are_no_more_are_refused(bench):
    keep = bench.reopen()
    assert (keep.cache() / "keep-facts.json").is_file()
    (keep.cache() / "keep-facts.json").write_text("[]")
    assert bench.reopen().name == "keep"
    change = Change(files={"keep.yaml": b"format: datakeep/keep/1\nname: keep\n"})
    keep.repository.transact(lambda tree: change, "by hand", bench.aiko)
    with pytest.raises(InvalidFile, match="vault"):
        open_keep(keep.root, Silent())


_LIGHT = {
    "find": ["find", "orders"],
    "whatis": ["whatis", "0" * 64],
}


@pytest.mark.parametrize("question", sorted(_LIGHT))
def test_a_question_imports_nothing_that_it_does_not_need(bench, question):
    bench.register("orders", backend="git")
    argv = ["datakeep", *_LIGHT[question], "-C", str(bench.keep.root)]
    code = (
        f"import sys; sys.argv = {argv!r}\n"
        "from datakeep.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('loaded', *sorted(name.partition('.')[0] for name in sys.modules))"
    )
    for _ in range(2):  # the first makes the index
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "click" in loaded
    assert not loaded & {
        "pydantic",
        "ruamel",
        "yaml",
        "git",
        "pyarrow",
        "numpy",
        "rich",
        "boto3",
        "obstore",
        "dvc",
    }
