"""`datakeep run`: exactly what a training read is in its record, however it read; and its end is passed on."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from server_process import until
from world import FACTS, Ran, World

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each line: a way of reading, the code that reads so (DATA is the data folder), the file of the dataset that it
# reads, and whether Python's audit hook sees it. docs/run.md lists those that it does not see.
WAYS = {
    "open": ("open(DATA + '/train/open.csv').read()", "train/open.csv", True),
    "pathlib": (
        "__import__('pathlib').Path(DATA, 'train/pathlib.csv').read_bytes()",
        "train/pathlib.csv",
        True,
    ),
    "os.open": ("os.read(os.open(DATA + '/train/os.csv', os.O_RDONLY), 9)", "train/os.csv", True),
    "pandas, CSV": ("__import__('pandas').read_csv(DATA + '/train/pandas.csv')", "train/pandas.csv", True),
    "pandas, Parquet": (
        "__import__('pandas').read_parquet(DATA + '/train/pandas.parquet')",
        "train/pandas.parquet",
        False,
    ),
    "pyarrow": (
        "__import__('pyarrow.parquet').parquet.read_table(DATA + '/train/arrow.parquet')",
        "train/arrow.parquet",
        False,
    ),
    "duckdb": (
        "__import__('duckdb').sql(f\"select count(*) from '{DATA}/train/duck.csv'\").fetchall()",
        "train/duck.csv",
        False,
    ),
    "np.memmap": (
        "__import__('numpy').memmap(DATA + '/train/map.bin', mode='r').sum()",
        "train/map.bin",
        True,
    ),
    "PIL": ("__import__('PIL.Image').Image.open(DATA + '/train/a.png').load()", "train/a.png", True),
    "zipfile": ("__import__('zipfile').ZipFile(DATA + '/train/a.zip').read('a')", "train/a.zip", True),
    "another program (cat)": (
        "subprocess.run(['cat', DATA + '/train/cat.csv'], stdout=subprocess.DEVNULL, check=True)",
        "train/cat.csv",
        False,
    ),
    "another Python": (
        "subprocess.run([sys.executable, '-c', READER, DATA + '/train/python.csv'], check=True)",
        "train/python.csv",
        True,
    ),
    "another Python with -I": (
        "subprocess.run([sys.executable, '-I', '-c', READER, DATA + '/train/i.csv'], check=True)",
        "train/i.csv",
        False,
    ),
    "forked workers": (
        "multiprocessing.get_context('fork').Pool(2).map(read, [DATA + '/train/fork.csv'])",
        "train/fork.csv",
        True,
    ),
    "a relative path after chdir": (
        "os.chdir(DATA + '/train'); open('chdir.csv').read(); os.chdir(HERE)",
        "train/chdir.csv",
        True,
    ),
    "a symbolic link": (
        "os.symlink(DATA + '/train/link.csv', OUT + '/l'); open(OUT + '/l').read()",
        "train/link.csv",
        True,
    ),
    "/proc/self/fd": (
        "fd = os.open(DATA + '/train/fd.csv', os.O_PATH); open(f'/proc/self/fd/{fd}').read()",
        "train/fd.csv",
        True,
    ),
    "a folder's descriptor (dir_fd)": (
        "at = os.open(DATA + '/train', os.O_RDONLY); os.read(os.open('at.csv', os.O_RDONLY, dir_fd=at), 9)",
        "train/at.csv",
        False,
    ),
}
#: datakeep, whose disk is full as soon as the training has ended.
LIMITED = """\
import errno, pathlib, sys
from datakeep.cli import boundary
from datakeep.repository.keep import KeepRepository
from datakeep.core.errors import NoSpace
full = OSError(errno.ENOSPC, "No space left on device")
def refuse(*arguments, **more):
    raise NoSpace("no space left for the keep", next_step="free space")
def write(path, data):
    path.touch()
    raise full
KeepRepository.transact = refuse
pathlib.Path.write_bytes = write
sys.exit(boundary.run(sys.argv[1:]))
"""
HEAD = """\
import json, multiprocessing, os, subprocess, sys
DATA, OUT, HERE = os.environ["DATAKEEP_DATA_MANY"], os.environ["DATAKEEP_OUT"], os.getcwd()
READER = "import sys; open(sys.argv[1]).read()"
def read(path):
    return len(open(path).read())
"""


def write_many(folder: Path) -> None:
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    for _, name, _ in WAYS.values():
        (folder / name).write_text("a,b\n1,2\n", "utf-8")
    table = pd.DataFrame({"a": [1, 2]})
    for name in ("pandas", "arrow"):
        table.to_parquet(folder / f"train/{name}.parquet")
    np.arange(9, dtype=np.uint8).tofile(folder / "train/map.bin")
    Image.new("RGB", (2, 2)).save(folder / "train/a.png")
    with zipfile.ZipFile(folder / "train/a.zip", "w") as archive:
        archive.writestr("a", "x")
    (folder / "train/never.csv").write_text("never read\n", "utf-8")
    (folder / "test/t.csv").write_text("held out\n", "utf-8")


@pytest.fixture(scope="module")
def many(world: World) -> World:
    """A world with the dataset ``many`` (splits train and test), of two versions."""
    folder = world.aiko.cwd / "many"
    write_many(folder)
    manifest = world.aiko.cwd / "many.yaml"
    manifest.write_text("splits: {train: ['data/train/**'], test: ['data/test/**']}\n", "utf-8")
    given = ("--backend", "git", *FACTS, "--manifest", manifest)
    world.aiko.datakeep("register", "many", folder, *given, cwd=world.keep)
    (folder / "train/never.csv").write_text("new this week\n", "utf-8")
    world.aiko.datakeep("update", "many", folder, "-m", "a week later", cwd=world.keep)
    return world


class Code:
    """A folder of code in git, in which trainings are run."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        folder.mkdir()
        self.path = folder / "train.py"
        self.path.write_text("", "utf-8")
        world.aiko.run("git", "init", "-q", cwd=folder)
        self.commit()

    def commit(self) -> None:
        self.world.aiko.run("git", "add", "train.py", cwd=self.folder)
        self.world.aiko.run("git", "commit", "-qm", "code", "--allow-empty", cwd=self.folder)

    def write(self, text: str) -> None:
        self.path.write_text(HEAD + text, "utf-8")
        self.commit()

    def argv(self, *options: str, command: tuple[str, ...] = ("python", "train.py")) -> list[str | Path]:
        n = sum(1 for _ in self.folder.glob("out*"))
        given = () if "--uses" in options else ("--uses", "many")
        return [
            "-C", self.world.keep, "run", "--json", "--model", "m", *given, "--out", f"out{n}", *options,
            "--", *command,
        ]  # fmt: skip

    def run(self, *options: str, code: int = 0, **more: Any) -> Ran:
        return self.world.aiko.datakeep(*self.argv(*options, **more), cwd=self.folder, code=code)


@pytest.fixture
def code(many: World, tmp_path: Path) -> Code:
    return Code(many, tmp_path / "code")


def read_of(world: World, ran: Ran) -> set[str]:
    """The files of the first dataset that the record lists, its digest checked."""
    record = ran.data["record"]
    kept = record["inputs"][0]["files_read"]
    folder = world.keep / "models" / record["model"] / record["version"]
    text = (folder / kept["kept"]).read_bytes()
    assert kept["list"] == f"sha256:{hashlib.sha256(text).hexdigest()}"
    paths = text.decode().splitlines()
    assert paths == sorted(paths)
    assert kept["count"] == len(paths)
    return set(paths)


@pytest.fixture
def blind(many: World, tmp_path: Path) -> Iterator[World]:
    """The same world, where strace is not on the PATH."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if program.name != "strace" and not (tools / program.name).is_symlink():
                (tools / program.name).symlink_to(program)
    for name in ("python", "python3"):
        (tools / name).unlink(missing_ok=True)
    before = dict(many.aiko.extra)
    many.aiko.extra["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{tools}"
    yield many
    many.aiko.extra.clear()
    many.aiko.extra.update(before)


def test_every_way_of_reading_is_seen_and_nothing_else(code: Code) -> None:
    code.write("\n".join(way for way, _, _ in WAYS.values()))
    ran = code.run()
    assert read_of(code.world, ran) == {name for _, name, _ in WAYS.values()}
    record = ran.data["record"]
    assert record["observed"] == {"by": "strace"}
    assert record["undeclared"] == []
    assert record["inputs"][0]["version"] == "v2"
    assert record["inputs"][0]["files_read"]["splits"] == {"train": len(WAYS)}


def test_the_audit_hook_sees_what_the_page_says_and_no_more(code: Code, blind: World) -> None:
    code.write("\n".join(way for way, _, _ in WAYS.values()))
    (code.folder / "sitecustomize.py").write_text("import builtins; builtins.MINE = 1\n", "utf-8")
    code.path.write_text(code.path.read_text("utf-8") + "\nassert MINE\n", "utf-8")
    blind.aiko.extra["PYTHONPATH"] = str(code.folder)
    ran = code.run()
    assert read_of(blind, ran) == {name for _, name, seen in WAYS.values() if seen}
    record = ran.data["record"]
    assert record["observed"] == {"by": "audit-hook", "why": "strace is not installed"}
    assert any("audit hook watched: strace is not installed" in line for line in record["unknown"])
    said = blind.aiko.datakeep("audit", "model:m", cwd=blind.keep).out
    assert "sees less than strace" in said


def test_the_page_lists_the_blind_spots_of_the_hook() -> None:
    page = (Path(__file__).parents[2] / "docs/run.md").read_text("utf-8")
    listed = page.partition("<!-- blind spots -->\n")[2].partition("\n\n")[0].splitlines()
    assert [line.removeprefix("- ") for line in listed] == [
        way for way, (_, _, seen) in WAYS.items() if not seen
    ]


def test_what_else_was_read_is_undeclared_and_what_it_wrote_is_not(code: Code) -> None:
    home = code.world.aiko.home
    (home / "cached.bin").write_bytes(b"downloaded")
    (home / ".netrc").write_text("machine x login y password z\n")
    (code.folder / "beside.csv").write_text("a\n1\n")
    (code.folder / "params.yaml").write_text("seed: 7\nlr: 0.1\napi_key: hunter2\n")
    (code.folder / "stdin.csv").write_text("x\n")
    code.write(
        "open('beside.csv').read(); open(os.path.expanduser('~/cached.bin'), 'rb').read()\n"
        "open(os.path.expanduser('~/.netrc')).read(); open('params.yaml').read()\n"
        "open('/etc/hostname').read(); open('/proc/self/status').read(); open(DATA + '/test/t.csv').read()\n"
        "open('tmp.csv', 'w').write('own'); os.rename('tmp.csv', 'own.csv'); open('own.csv').read()\n"
        "import sqlite3; c = sqlite3.connect('own.db'); c.execute('create table t (a)'); c.commit(); c.close()\n"
        "sqlite3.connect('own.db').execute('select * from t').fetchall()\n"
        "open(OUT + '/model.bin', 'w').write('model'); open(OUT + '/model.bin').read()\n"
        "print(json.dumps({'accuracy': 0.25})); print('{broken'); print(json.dumps({'accuracy': 0.5, 'n': 3}))\n"
    )
    code.path.write_text(code.path.read_text("utf-8") + "# not committed\n", "utf-8")
    withheld = code.run(command=("python", "train.py")).data["record"]["code"]
    assert withheld["withheld"] == "withheld: they hold a value for api_key"
    assert "diff" not in withheld
    code.world.aiko.run("git", "add", "params.yaml", cwd=code.folder)
    code.world.aiko.run("git", "commit", "-qm", "their own affair", "params.yaml", cwd=code.folder)
    for name in ("own.csv", "own.db"):
        (code.folder / name).unlink()
    ran = code.run(command=("python", "train.py", "--epochs", "3", "--token", "hunter2", "--seed=11"))
    assert read_of(code.world, ran) == {"test/t.csv"}
    record = ran.data["record"]
    undeclared = {Path(one["path"]).name: one for one in record["undeclared"]}
    assert set(undeclared) == {"beside.csv", "cached.bin", ".netrc"}
    assert undeclared["cached.bin"]["sha256"] == hashlib.sha256(b"downloaded").hexdigest()
    assert "sha256" not in undeclared[".netrc"]
    assert record["parameters"]["epochs"] == "3"
    assert record["parameters"]["params.yaml"] == {"seed": 7, "lr": 0.1, "api_key": "(withheld)"}
    assert record["seeds"] == {"seed": "11", "params.yaml.seed": "7"}
    assert record["metrics"] == {"accuracy": "0.5", "n": "3"}
    assert [one["path"] for one in record["artifacts"]] == ["model.bin"]
    everything = "".join(
        path.read_text("utf-8") for path in (code.world.keep / "models/m").rglob("*") if path.is_file()
    )
    assert "hunter2" not in everything
    assert "+# not committed" in everything
    said = code.world.aiko.datakeep("audit", "model:m", cwd=code.world.keep).out
    for words in (
        "beside.csv, 4 bytes",
        "test 1",
        "uncommitted.diff",
        "seed 11",
        "every file opened was seen",
    ):
        assert words in said, words
    # The file itself finds the record, and the dataset finds the model.
    assert f"model m@{record['version']}" in code.world.aiko.datakeep(
        "audit", next(iter(sorted(code.folder.glob("out*/model.bin")))), cwd=code.world.keep
    ).out  # fmt: skip
    assert (
        f"m@{record['version']}" in code.world.aiko.datakeep("audit", "dataset:many", cwd=code.world.keep).out
    )


GONE = """\
import shutil, sys, tempfile
os.makedirs("folder/inner", exist_ok=True)
open("cache.csv").read()
for name in ("removed", "renamed", "folder/inner/lost", "kept"):
    open(f"{name}.csv").read()
os.remove("removed.csv"); os.rename("renamed.csv", "elsewhere.dat"); shutil.rmtree("folder")
os.link("linked.csv", "l.csv"); open("l.csv").read(); os.remove("l.csv")
os.rename("moved.csv", OUT + "/moved.csv"); open(OUT + "/moved.csv").read()
os.rename("away.csv", "x.csv"); open("x.csv").read(); os.rename("x.csv", "away.csv")
open("own.csv", "w").write("1"); open("own.csv").read(); os.rename("own.csv", "own2.csv"); open("own2.csv").read()
with tempfile.TemporaryDirectory() as own:
    os.mkdir(own + "/empty"); open(own + "/a", "a").write("1"); open(own + "/a").read()
os.rename("own2.csv", "cache.csv"); open("cache.csv").read(); os.remove("cache.csv")
"""


def check_gone(record: dict[str, Any], folder: Path) -> None:
    """What the record says of a training of :data:`GONE`."""
    told = {os.path.relpath(one["path"], folder): one for one in record["undeclared"]}
    gone = {"removed.csv", "folder/inner/lost.csv", "cache.csv"}
    there = {"renamed.csv", "kept.csv", "linked.csv", "moved.csv", "away.csv"}
    assert set(told) == gone | there
    assert record["undeclared_count"] == len(told)
    for name in gone:
        assert told[name]["gone"].startswith("removed or renamed")
        assert "sha256" not in told[name]
    for name in there:
        assert told[name]["sha256"] == hashlib.sha256(f"{name}\n".encode()).hexdigest(), name
        assert ("moved" in told[name]) == (name in ("renamed.csv", "moved.csv"))
    assert f"to {folder}/elsewhere.dat" in told["renamed.csv"]["moved"]
    (line,) = [line for line in record["unknown"] if "read and then removed or renamed" in line]
    assert all(Path(name).name in line for name in gone)


def write_gone(folder: Path) -> None:
    (folder / "folder/inner").mkdir(parents=True, exist_ok=True)
    for name in ("removed", "renamed", "folder/inner/lost", "kept", "linked", "moved", "away", "cache"):
        (folder / f"{name}.csv").write_text(f"{name}.csv\n", "utf-8")


def test_what_was_read_and_is_gone_is_told_and_what_was_renamed_is_followed(code: Code) -> None:
    code.write(GONE)
    write_gone(code.folder)
    check_gone(code.run().data["record"], code.folder.resolve())
    said = code.world.aiko.datakeep("audit", "model:m", cwd=code.world.keep).out
    assert "removed.csv, gone: removed or renamed before the training ended" in said


def test_the_audit_hook_tells_of_what_is_gone_and_which_packages_there_are(code: Code, blind: World) -> None:
    code.write(
        GONE + "import pandas; pandas.DataFrame({'a': [1]}).to_parquet('c.parquet')\n"
        "open('c.parquet', 'rb').read(); os.remove('c.parquet')\n"
        "assert not os.path.exists('never.csv')\n" + "try: open('never.csv')\nexcept OSError: pass\n"
    )
    write_gone(code.folder)
    record = code.run().data["record"]
    assert record["observed"]["by"] == "audit-hook"
    check_gone(record, code.folder.resolve())
    assert record["environment"]["package_count"] > 20
    packages = blind.keep / "models/m" / record["version"] / "packages.txt"
    assert f"pytest=={pytest.__version__}\n" in packages.read_text("utf-8")


def test_data_that_came_with_software_is_listed_and_what_was_given_unread_did_not_go_in(code: Code) -> None:
    code.write("from sklearn.datasets import load_iris; load_iris(); open(OUT + '/m', 'w').write('m')\n")
    record = code.run().data["record"]
    assert record["environment"]["data_read"] == ["sklearn/datasets/data/iris.csv"]
    assert record["environment"]["data_read_count"] == 1
    assert record["undeclared"] == []
    label, keep, aiko = f"m@{record['version']}", code.world.keep, code.world.aiko
    said = aiko.datakeep("audit", f"model:{label}", cwd=keep).out
    assert "read from the environment  sklearn/datasets/data/iris.csv" in said
    used = aiko.datakeep("audit", "dataset:many", "--json", cwd=keep).data
    assert label in used["given_unread"]
    assert label not in [f"{one['model']}@{one['version']}" for one in used["models"]]
    before, last = aiko.datakeep("audit", "dataset:many", cwd=keep).out.split("given to, but nothing of it")
    assert label not in before.split()
    assert label in last.split()
    bare = code.run(command=("true",)).data["record"]
    assert bare["environment"].get("package_count") is None
    changed = aiko.datakeep("audit", "--diff", label, f"m@{bare['version']}", cwd=keep, code=3).out
    assert re.search(r"\? packages: \d+ → not known", changed)
    check_formats(code.world, label)


def check_formats(world: World, label: str) -> None:
    """No form claims that the version that was given and not read went into the model."""
    told = {
        form: world.aiko.datakeep("audit", f"model:{label}", "--format", form, cwd=world.keep).out
        for form in ("prov", "openlineage", "cyclonedx")
    }
    prov, bom = json.loads(told["prov"]), json.loads(told["cyclonedx"])
    entities = [one["prov:entity"] for one in prov["used"].values()]
    entities += [one["prov:usedEntity"] for one in prov.get("wasDerivedFrom", {}).values()]
    assert not [one for one in entities if one.startswith("keep:datasets/")]
    assert prov["activity"][f"keep:runs/{label}"]["datakeep:givenUnread"] == ["many@v2"]
    training = json.loads(told["openlineage"].splitlines()[-1])
    assert training["inputs"] == []
    assert [one["dataset"] for one in training["run"]["facets"]["datakeep_record"]["given_unread"]] == [
        "many"
    ]
    assert bom["components"] == []
    assert bom["dependencies"] == [{"ref": f"model:{label}", "dependsOn": []}]
    assert bom["compositions"][0]["aggregate"] == "unknown"  # data came with the software
    properties = bom["metadata"]["component"]["properties"]
    assert {"name": "datakeep:given-unread", "value": "many@v2"} in properties


def test_all_files_of_last_weeks_version(code: Code) -> None:
    code.write("for f in __import__('pathlib').Path(DATA).rglob('*.*'): f.read_bytes()")
    ran = code.run("--uses", "many@v1", command=("python", "train.py", "{many}", "--out={out}"))
    read = ran.data["record"]["inputs"][0]["files_read"]
    assert read["count"] == read["of"] == len(WAYS) + 2
    assert read.get("kept") is None
    assert read["splits"] == {"train": len(WAYS) + 1, "test": 1}
    said = code.world.aiko.datakeep("audit", "model:m", cwd=code.world.keep).out
    assert f"all {len(WAYS) + 2} files read" in said
    assert "v2 is the newest version now" in said
    data = Path(ran.data["data"]["many@v1"])
    assert data.stat().st_mode & 0o777 == 0o555
    # Somebody changed the cache: it is said, and fetched again.
    (data / "train/open.csv").chmod(0o644)
    (data / "train/open.csv").write_text("forged\n")
    again = code.run("--uses", "many@v1")
    assert "was changed since it was fetched" in again.err
    assert (data / "train/open.csv").read_text() == "a,b\n1,2\n"


def test_a_training_that_fails_leaves_a_failed_record_and_its_exit_code(code: Code) -> None:
    code.write("open(DATA + '/train/open.csv').read(); sys.exit(3)\n")
    ran = code.run(code=3)
    record = ran.data["record"]
    assert (record["status"], record["failure"], record["exit_code"]) == ("failed", "exit code 3", 3)
    code.write("os.kill(os.getpid(), 9)\n")
    ran = code.run(code=128 + 9)
    assert ran.data["record"]["failure"] == "ended by signal SIGKILL"
    said = code.world.aiko.datakeep("audit", "model:m", cwd=code.world.keep).out
    assert "FAILED (ended by signal SIGKILL)" in said


def test_names_that_no_terminal_shows_are_escaped_and_the_record_is_read_again(code: Code) -> None:
    (code.folder / "odd\x1b\n.csv").write_text("x")
    (code.folder / "params.json").write_text(json.dumps({"a\x07": "b\x1b", "big": 2**2000}))
    code.write(
        "open(OUT + '/mo\\x1b[31mdel\\nb.bin', 'w').write('m'); open('odd\\x1b\\n.csv').read()\n"
        "open('params.json').read(); print('{\"acc\\\\u001b\": 0.5}')\n"
    )
    ran = code.run(command=("python", "train.py", "--name", "x\x1by"))
    record = ran.data["record"]
    assert record["artifacts"][0]["path"] == r"mo\x1b[31mdel\nb.bin"
    assert record["parameters"]["name"] == r"x\x1by"
    assert record["parameters"]["params.json"][r"a\x07"] == r"b\x1b"
    assert record["metrics"] == {r"acc\x1b": "0.5"}
    assert r"odd\x1b\n.csv" in str([Path(one["path"]).name for one in record["undeclared"]]).replace(
        "\\\\", "\\"
    )
    said = code.world.aiko.datakeep("audit", f"model:{ran.data['model']}", cwd=code.world.keep).out
    assert r"mo\x1b[31mdel\nb.bin" in said
    file = code.folder / "out0" / "mo\x1b[31mdel\nb.bin"
    assert ran.data["model"] in code.world.aiko.datakeep("audit", file, cwd=code.world.keep).out


@pytest.mark.parametrize(
    ("options", "command", "said"),
    [
        (("--model", "No Good"), ("true",), "cannot be a model name"),
        (("--uses", "mani"), ("true",), "no dataset 'mani'"),
        (("--uses", "many@v9"), ("true",), "no version v9"),
        (("--base", "resnet@v1"), ("true",), "no record of a base model 'resnet@v1'"),
        (("--out", "train.py"), ("true",), "is a file"),
        (("--out", "."), ("true",), "not empty"),
        ((), ("cat", "{mani}"), "nothing says what {mani} is"),
        ((), ("cat", "--data={dta}"), "nothing says what {dta} is"),
        (("--nonsense",), ("true",), "no such option"),
    ],
)
def test_failures_of_datakeeps_own_are_125(code: Code, options, command, said) -> None:
    before = set(code.folder.iterdir())
    ran = code.run(*options, command=command, code=125)
    assert said in ran.data["error"]["what"].lower() or said in ran.data["error"]["what"]
    assert ran.data["error"]["exit_code"] == 125
    assert set(code.folder.iterdir()) == before


def test_a_program_that_is_not_there_ends_with_127_as_in_a_shell(code: Code) -> None:
    error = code.run(command=("no-such-program",), code=127).data["error"]
    assert (error["id"], error["exit_code"]) == ("command-not-found", 127)


def test_a_place_that_is_not_known_is_told_by_its_neighbours(code: Code) -> None:
    world = code.world
    assert code.run(command=("cat", "{dta}"), code=125).data["error"]["next"] == "did you mean {data}?"
    world.register("wine", "git")
    two = code.argv("--uses", "wine", "--uses", "many", command=("cat", "{data}"))
    ran = world.aiko.datakeep(*two, cwd=code.folder, code=125)
    assert ran.data["error"]["next"] == "use {wine} or {many}"


def test_the_keep_itself_is_nobodys_code(code: Code) -> None:
    world = code.world
    argv = ("run", "--json", "--model", "k", "--uses", "many", "--", "python", "-c", "lr=1", "--depth", "3")
    record = world.aiko.datakeep(*argv, cwd=world.keep).data["record"]
    assert record["code"] == {}
    assert record["parameters"] == {"depth": "3"}
    assert any("it was run in the keep" in one for one in record["unknown"])


def _records(world: World) -> set[str]:
    return {path.name for path in (world.keep / "models/m").glob("*.yaml")}


def _started(code: Code) -> subprocess.Popen[str]:
    code.write("open(DATA + '/train/open.csv').read(); open('began', 'w'); import time; time.sleep(600)\n")
    process = code.world.aiko.start(*code.argv(), cwd=code.folder)
    _wait_for_its_beginning(code, process)
    return process


def _wait_for_its_beginning(code: Code, process: subprocess.Popen[Any]) -> None:
    until(lambda: (code.folder / "began").exists() or process.poll() is not None, within_s=300)
    assert process.poll() is None, process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_hangs_is_interrupted_and_nothing_is_recorded(
    code: Code, number: signal.Signals
) -> None:
    before = _records(code.world)
    process = _started(code)
    process.send_signal(number)  # to datakeep alone, as `kill` does
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert json.loads(out)["interrupted"]
    assert _records(code.world) == before


_COUNTS = """
import signal, time
came = []
signal.signal(signal.SIGINT, lambda *_: came.append(1))
open('began', 'w').close()
until = time.monotonic() + 300
while not came and time.monotonic() < until: time.sleep(0.01)
time.sleep(0.5)
print(json.dumps({'came': len(came)}))
"""


@pytest.mark.parametrize("to_group", [True, False], ids=["to the group", "to datakeep alone"])
def test_a_training_gets_each_interruption_once(code: Code, to_group: bool) -> None:
    code.write("import json\n" + _COUNTS)
    argv = [sys.executable, "-m", "datakeep", *(str(part) for part in code.argv())]
    process = subprocess.Popen(
        argv, cwd=code.folder, env=code.world.aiko.env, stdout=subprocess.PIPE, process_group=0
    )
    _wait_for_its_beginning(code, process)
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert json.loads(out)["record"]["metrics"] == {"came": "1"}


def test_a_program_that_writes_into_a_closed_pipe_dies_of_it_quietly(code: Code) -> None:
    done = code.world.aiko.datakeep(
        *(*code.argv()[: code.argv().index("--") + 1], "bash", "-c", "yes | head -n 1"), cwd=code.folder
    )
    assert "Broken pipe" not in done.err


def test_a_killed_run_leaves_no_record_and_no_training(code: Code) -> None:
    before = _records(code.world)
    process = _started(code)
    process.kill()
    process.communicate(timeout=300)  # the training has closed its output, so it is gone
    assert _records(code.world) == before
    code.write("")
    assert code.run().data["record"]["status"] == "completed"


def test_a_second_run_asks_no_store_and_shares_the_data_of_equal_contents(code: Code) -> None:
    world = code.world
    world.register("stored")
    world.aiko.datakeep("update", "stored", "--license", "MIT", "-m", "the same bytes", cwd=world.keep)
    code.write("")
    code.path.write_text("", "utf-8")
    first = code.run("--uses", "stored@v1")
    code.run("--uses", "stored@v2")
    store, away = world.vault / "data", world.vault / "data.away"
    shutil.move(store, away)
    try:
        second, other = code.run("--uses", "stored@v1"), code.run("--uses", "stored@v2")
    finally:
        shutil.move(away, store)
    assert (
        second.data["data"]["stored@v1"] == first.data["data"]["stored@v1"] == other.data["data"]["stored@v2"]
    )
    assert second.data["record"]["inputs"][0]["files_read"]["count"] == 0
    said = world.aiko.datakeep("audit", "model:m", cwd=world.keep).out
    assert "given, and nothing read of its 5 files" in said


def test_a_checkout_that_was_not_declared_is_recognised(code: Code) -> None:
    code.world.aiko.datakeep("checkout", "many@v1", code.folder / "old", cwd=code.world.keep)
    code.write("open('old/data/test/t.csv').read()")
    record = code.run().data["record"]
    assert [one["of"] for one in record["undeclared"]] == ["many@v1"]
    said = code.world.aiko.datakeep("audit", "model:m", cwd=code.world.keep).out
    assert "in a checkout of many@v1, which was not declared" in said


def test_on_a_terminal_the_training_has_one_and_ctrl_c_of_it(code: Code) -> None:
    """As a person at a terminal: colours, the size of the window, and Ctrl-C, which both of them get."""
    code.write(
        "import time\ntry:\n"
        "    print(os.isatty(0), os.isatty(1), os.isatty(2), tuple(os.get_terminal_size(1)), flush=True)\n"
        "    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('saved what there was'); sys.exit(0)\n"
    )
    argv = [str(part) for part in code.argv() if part != "--json"]
    before = _records(code.world)
    child, terminal = pty.fork()
    if not child:
        os.chdir(code.folder)
        os.execve(sys.executable, [sys.executable, "-m", "datakeep", *argv], code.world.aiko.env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    shown = ""
    while "(77, 33)\r\n" not in shown:
        shown += os.read(terminal, 4096).decode()
    assert "True True True (77, 33)\r\n" in shown
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):  # the terminal is gone with its last process
        while chunk := os.read(terminal, 4096):
            shown += chunk.decode("utf-8", "replace")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    assert shown.count("saved what there was") == 1
    assert "is recorded" in shown
    assert len(_records(code.world) - before) == 1


def test_output_is_passed_on_byte_for_byte_and_standard_input_is_a_file_that_was_read(
    code: Code, tmp_path: Path
) -> None:
    code.write(
        "sys.stdout.buffer.write(bytes(range(256)) * 1000); print(sys.stdin.read(), file=sys.stderr)\n"
        "subprocess.run(['sh', '-c', 'sleep 600 2>/dev/null & echo $! > left'], check=True)\n"
    )
    (code.folder / "in.csv").write_text("from a file\n")
    argv = [sys.executable, "-m", "datakeep", *(str(part) for part in code.argv() if part != "--json")]
    with (code.folder / "in.csv").open() as source, (tmp_path / "errors").open("wb") as errors:
        done = subprocess.run(
            argv,
            cwd=code.folder,
            env=code.world.aiko.env,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=True,
        )
    os.kill(
        int((code.folder / "left").read_text()), signal.SIGKILL
    )  # what it leaves running is not waited for
    assert done.stdout == bytes(range(256)) * 1000
    assert b"from a file\n" in (tmp_path / "errors").read_bytes()
    newest = max(_records(code.world), key=lambda name: int(name[1:].removesuffix(".yaml")))
    assert "/in.csv\n" in (code.world.keep / "models/m" / newest).read_text("utf-8")


def test_a_program_in_c_and_a_file_that_was_there_before(code: Code, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    program = str(tmp_path / "reader") if compiler else "/bin/cat"
    if compiler:
        source = tmp_path / "reader.c"
        source.write_text(
            "#include <fcntl.h>\n#include <unistd.h>\n"
            "int main(int n, char **a) { char b[9]; chdir(a[1]); return read(open(a[2], O_RDONLY), b, 9) < 1; }\n"
        )
        subprocess.run([compiler, str(source), "-o", program], check=True)
    (code.folder / "old.log").write_text("last week\n")
    code.write(
        f"subprocess.run([{program!r}, DATA + '/train', 'open.csv'], cwd=DATA + '/train', check={bool(compiler)})\n"
        "open('old.log', 'a+').write('now')\nopen('new.log', 'a+').write('now')\nopen('new.log').read()\n"
    )
    ran = code.run()
    assert read_of(code.world, ran) == {"train/open.csv"}
    assert [Path(one["path"]).name for one in ran.data["record"]["undeclared"]] == ["old.log"]
    assert "changed" in ran.data["record"]["undeclared"][0]


def test_strace_that_may_not_follow_is_not_used_and_the_record_says_why(
    code: Code, blind: World, tmp_path: Path
) -> None:
    forbidden = tmp_path / "tools" / "strace"
    forbidden.write_text(
        "#!/bin/sh\necho 'strace: ptrace(PTRACE_SEIZE): Operation not permitted' >&2\nexit 1\n"
    )
    forbidden.chmod(0o755)
    code.write("open(DATA + '/train/open.csv').read()\n")
    ran = code.run()
    assert read_of(blind, ran) == {"train/open.csv"}
    observed = ran.data["record"]["observed"]
    assert observed["by"] == "audit-hook"
    assert "strace cannot follow processes here: " in observed["why"]
    assert "--cap-add=SYS_PTRACE" in observed["why"] or "ptrace_scope" in observed["why"]


def test_a_trace_that_a_full_disk_tore_is_not_called_whole(code: Code, blind: World, tmp_path: Path) -> None:
    tearing = tmp_path / "tools" / "strace"
    tearing.write_text(
        '#!/bin/sh\nfor one; do test "$last" = -o && file=${file:-$one}; last=$one; done\n'
        f'{shutil.which("strace")} "$@"; code=$?\nprintf "7 openat(AT_FDC" >>"$file"\nexit $code\n'
    )
    tearing.chmod(0o755)
    code.write("open(DATA + '/train/open.csv').read()\n")
    ran = code.run()
    assert read_of(blind, ran) == {"train/open.csv"}
    record = ran.data["record"]
    assert record["observed"]["by"] == "strace"
    assert [
        line for line in record["unknown"] if line.startswith("files that were opened and are not listed")
    ]


def test_a_full_disk_at_record_time_is_said_and_nothing_is_half_there(code: Code) -> None:
    """Neither the keep nor the current folder takes the record; what was begun is gone again."""
    before = _records(code.world)
    code.write("open(DATA + '/train/open.csv').read()\n")
    code.run()
    argv = [sys.executable, "-c", LIMITED, *(str(part) for part in code.argv())]
    done = subprocess.run(
        argv,
        cwd=code.folder,
        env=code.world.aiko.env,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 125, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["id"] == "no-space"
    assert "the training ended, but its record could not be put into the keep" in error["what"]
    said = ["-C", code.world.keep, "record", "x", code.folder / "train.py", "--used", "many", "--json"]
    argv = [sys.executable, "-c", LIMITED, *map(str, said)]
    done = subprocess.run(argv, cwd=code.folder, env=code.world.aiko.env, capture_output=True, check=False)
    what = json.loads(done.stdout)["error"]["what"]
    assert what.startswith("the record could not be put into the keep (no space left for the keep)"), what
    assert len(_records(code.world) - before) == 1
    assert not list(code.folder.glob("*.zip")) + list(code.folder.glob(".*.part"))
    code.world.aiko.run("git", "fsck", "--strict", cwd=code.world.keep)


def test_who_may_not_push_gets_a_file_that_is_handed_in(code: Code) -> None:
    code.write("open(DATA + '/train/open.csv').read()\n")
    base, away = code.world.vault / "git", code.world.vault / "git.away"
    code.run()  # the data is here now
    shutil.move(base, away)
    try:
        ran = code.run(code=0)
        before = _records(code.world)
    finally:
        shutil.move(away, base)
    assert ran.data["not_pushed"]
    file = code.folder / ran.data["record_file"]
    done = code.world.aiko.datakeep("record", "--hand-in", file, "--json", cwd=code.world.keep)
    assert done.data["record"]["inputs"][0]["files_read"]["count"] == 1
    assert _records(code.world) - before == {f"{done.data['record']['version']}.yaml"}
    assert read_of(code.world, done) == {"train/open.csv"}
    before = _records(code.world)
    again = code.world.aiko.datakeep("record", "--hand-in", file, cwd=code.world.keep).out
    assert again.startswith(f"already there: m@{done.data['record']['version']}\n")
    assert _records(code.world) == before
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("read/other@v1.txt", "forged\n")
    code.world.aiko.datakeep("record", "--hand-in", file, cwd=code.world.keep, code=14)
    code.world.aiko.datakeep("record", "--hand-in", code.path, cwd=code.world.keep, code=14)


def test_the_use_of_gpus_is_sampled(code: Code, tmp_path: Path) -> None:
    """nvidia-smi, of two GPUs: one gets busier with each look, the other does not tell how busy it is."""
    tools = tmp_path / "gpu-tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text(
        f"""#!/bin/sh
case "$1" in
--query-gpu=index,*)
  echo look >> {tools}/looks; n=$(wc -l < {tools}/looks)
  echo "0, NVIDIA Sample 4, $((n * 1024)), $((n * 20))"; echo "1, NVIDIA Sample 4, 10, [N/A]";;
--query-gpu=name,*) echo "NVIDIA Sample 4, 550.1";;
*) echo "CUDA Version : 12.4";;
esac
"""
    )
    (tools / "nvidia-smi").chmod(0o755)
    code.write(
        "import pathlib, time; open(DATA + '/train/open.csv').read()\n"
        f"looks, until = pathlib.Path({str(tools / 'looks')!r}), time.monotonic() + 300\n"
        "while time.monotonic() < until and (looks.stat().st_size if looks.exists() else 0) < 20: time.sleep(0.1)\n"
    )
    before = dict(code.world.aiko.extra)
    code.world.aiko.extra["PATH"] = (
        f"{Path(sys.executable).parent}{os.pathsep}{tools}{os.pathsep}{os.environ['PATH']}"
    )
    try:
        record = code.run().data["record"]
    finally:
        code.world.aiko.extra.clear()
        code.world.aiko.extra.update(before)
    first, second = record["resources"]["gpus"]
    looks = first["samples"]
    assert looks >= 2
    assert first["memory_before_bytes"] == 2**30
    assert first["peak_memory_bytes"] == (looks + 1) * 2**30
    assert first["utilisation_percent"] == f"{20 * (2 + looks + 1) / 2:.1f}"
    assert (second["peak_memory_bytes"], second["utilisation_percent"]) == (10 * 2**20, None)
    assert record["environment"]["cuda"] == "12.4"
    said = code.world.aiko.datakeep("audit", "model:m", cwd=code.world.keep).out
    assert f"in the mean of {looks} looks, whoever used it" in said
    assert read_of(code.world, code.run()) == {"train/open.csv"}


def test_a_base_model_is_followed_and_a_declared_one_is_shown_as_declared(code: Code) -> None:
    aiko, keep = code.world.aiko, code.world.keep
    weights = code.folder / "resnet.bin"
    weights.write_bytes(b"weights")
    aiko.datakeep("record", "resnet", weights, "--used", "many@v1", "--metric", "top1=0.76", cwd=keep)
    said = aiko.datakeep("audit", "model:resnet", cwd=keep).out
    assert "declared by aiko@corp.example; nothing was observed" in said
    assert "(observed)" not in said
    code.write("open('resnet.bin', 'rb').read()\n")
    record = code.run("--base", "resnet").data["record"]
    assert record["base_models"] == ["resnet@v1"]
    assert record["undeclared"] == []
    said = aiko.datakeep("audit", "model:m", cwd=keep).out
    assert "base model:" in said
    assert "many@v1" in said
    again = aiko.datakeep(
        "record", "resnet", weights, "--used", "many@v1", "--metric", "top1=0.76", cwd=keep
    ).out
    assert "already there: resnet@v1, declared by aiko@corp.example" in again
    other = aiko.datakeep(
        "record", "resnet", weights, "--used", "many@v1", "--metric", "top1=0.77", cwd=keep
    ).out
    assert "model resnet@v2 is recorded" in other
    aiko.datakeep("record", "resnet", weights, cwd=keep, code=2)
    aiko.datakeep("record", "resnet", weights, "--used", "many", "--code-commit", "abc", cwd=keep, code=2)
    aiko.datakeep("record", "resnet", code.folder, "--used", "many", cwd=keep, code=16)
    aiko.datakeep("record", "resnet", weights, "--used", "many", "--metric", "top1=high", cwd=keep, code=2)
