"""SIGKILL and Ctrl-C at random points of whole commands: the next run of the same command completes it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from server_process import PATIENCE_S, until
from world import facts_without

#: What a killed git or datakeep leaves, and the next run must not.
LEFTOVERS = re.compile(
    r"\.git/.*\.lock$|/tmp_(obj|pack|idx|rev|objdir)|/fast_import_crash|/incoming|/\.[^/]+\.new$|\.git/objects/.*\.keep$"
    r"|refs/datakeep/|/\.datakeep/(git-operation|rooms/[0-9])|/\.datakeep-|\.gone$|/\.datakeep/lock-holder$"
)


@dataclass
class Work:
    """A command that is tried again and again, each time with something new to do."""

    aiko: object
    keep: Path
    source: Path
    facts: tuple[str, ...]
    kind: str
    number: int = 0
    backends: tuple[str, ...] = ("dvc", "git")
    versions: dict[str, int] = field(default_factory=dict)

    @property
    def vault(self) -> Path:
        return self.keep.with_name("keep.vault")

    def prepare(self) -> None:
        """What the command needs."""
        if self.kind == "adopt":
            for backend in self.backends:
                (self.source.parent / backend / "data").mkdir(parents=True)
                self.repository(backend, "git", "init", "-q", ".")
            self.repository("dvc", "dvc", "init", "-q")
        elif self.kind != "register":
            for backend in self.backends:
                options = ("--backend", backend, *self.facts)
                self.aiko.datakeep("register", f"data-{backend}", self.source, *options, cwd=self.keep)
                if self.kind == "verify":
                    self.aiko.datakeep(
                        "reference", f"data-{backend}", "--code", self.keep.parent / "training", "--model-file",
                        "model.json", "--command", "python train.py --data {data} --out {out}",
                        "--expect", "accuracy=0.75±0.01", "--baseline", "accuracy=0.5", cwd=self.keep,
                    )  # fmt: skip

    def repository(self, backend: str, *argv: str) -> None:
        """A command in the repository that is to be adopted."""
        self.aiko.run(*argv, cwd=self.source.parent / backend)

    def next(self) -> tuple[str | Path, ...]:
        """A command with something to do; the backends take turns."""
        self.number += 1
        backend = self.backends[self.number % len(self.backends)]
        (self.source / "number.txt").write_text(f"{self.number}\n" * 2000)
        if self.kind == "register":
            return ("register", f"new-{self.number}", self.source, "--backend", backend, *self.facts)
        if self.kind == "adopt":
            shutil.copytree(self.source, self.source.parent / backend / "data", dirs_exist_ok=True)
            if backend == "dvc":
                self.repository(backend, "dvc", "add", "-q", "data")
            self.repository(backend, "git", "add", "-A")
            self.repository(backend, "git", "commit", "-qm", f"number {self.number}")
            name = f"new-{self.number}"
            return ("adopt", "--name", name, self.source.parent / backend, *self.facts)
        if self.kind == "update":
            return ("update", f"data-{backend}", self.source, "-m", f"number {self.number}")
        return ("verify", f"data-{backend}")

    def done(self, command: tuple[str | Path, ...]) -> None:
        """The command has done what it is for."""
        name = str(command[2 if self.kind == "adopt" else 1])
        entries = read_register(self.keep)[name]
        newest = entries[max(entries, key=lambda version: int(version[1:]))]
        if self.kind == "verify":
            assert list((self.keep / "proofs" / name).glob("*/*.dsse.json"))
            assert len(list((self.keep / "models" / name).iterdir())) == 1
            return
        assert newest["content"] == content_id(self.source)
        assert len(entries) == (1 if self.kind in ("register", "adopt") else self.versions.get(name, 1) + 1)
        self.versions[name] = len(entries)


@pytest.fixture
def work(aiko, keep, orders, training, facts, request):
    temporary = aiko.cwd / "temporary"
    temporary.mkdir()
    aiko.extra["TMPDIR"] = str(temporary)
    made = Work(aiko, keep, orders, facts, request.param)
    made.prepare()
    return made


def content_id(folder):
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"), key=lambda path: os.fsencode(path.relative_to(folder)))
        if path.is_file()
    ]
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def git(folder, *arguments):
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (folder, arguments, done.stdout, done.stderr)
    return done.stdout.strip()


def read_register(keep):
    """Dataset to version to the fields that matter, of what the clone's head holds."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for path in filter(None, git(keep, "ls-tree", "-r", "--name-only", "HEAD", "register/").split("\n")):
        text = git(keep, "show", f"HEAD:{path}")
        fields = dict(re.findall(r"^(commit|content|repository): (.+)$", text, re.MULTILINE))
        found.setdefault(path.split("/")[1], {})[path.split("/")[2].removesuffix(".yaml")] = fields
    return found


def assert_whole(keep, vault):
    """Everything that is registered is in the vault, and no repository is damaged."""
    bare = sorted((vault / "git").glob("*/*.git"))
    for folder in (keep, *bare):
        git(folder, "fsck", "--full", "--strict", "--no-dangling", "--no-progress")
    for name, versions in read_register(keep).items():
        repository = vault / "git" / "datasets" / f"{name}.git"
        for version, fields in versions.items():
            assert git(repository, "rev-parse", f"{version}^{{commit}}") == fields["commit"]
        if "data.dvc" in git(repository, "ls-tree", "--name-only", "main").split():
            assert_stored(repository, vault / "data" / name / "files" / "md5")


def assert_stored(repository, objects):
    pointer = git(repository, "show", "main:data.dvc")
    listing = re.search(r"md5: ([0-9a-f]{32}\.dir)", pointer)[1]
    for row in json.loads((objects / listing[:2] / listing[2:]).read_bytes()):
        data = (objects / row["md5"][:2] / row["md5"][2:]).read_bytes()
        assert hashlib.md5(data).hexdigest() == row["md5"]


def assert_tidy(keep, vault):
    """No lock is held or stale, and nothing temporary is left."""
    left = [
        str(path)
        for root in (keep, vault)
        for path in root.rglob("*")
        if LEFTOVERS.search(str(path)) and not (path.is_dir() and not any(path.iterdir()))
    ]
    assert not left
    ours = [*keep.glob(".datakeep/**/*.lock"), keep / ".datakeep" / "lock", *(vault / "git").glob("*/*.lock")]
    for lock in ours:
        with lock.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not list(keep.with_name("temporary").glob("datakeep-*"))
    assert git(keep, "status", "--porcelain") == ""
    assert git(keep, "rev-parse", "HEAD") == git(vault / "git" / "keeps" / "keep.git", "rev-parse", "main")


def look(work):
    """``list`` and ``status``, both at once."""
    asked = [work.aiko.start(*question, "--json", cwd=work.keep) for question in (("list",), ("status",))]
    answers = [process.communicate(timeout=PATIENCE_S) for process in asked]
    assert asked[0].returncode == 0, answers[0]
    assert asked[1].returncode in (0, 3), answers[1]
    registered = read_register(work.keep)
    listed = json.loads(answers[0][0])["datasets"]
    assert {row["name"]: row["version"] for row in listed} == {
        name: max(versions, key=lambda version: int(version[1:])) for name, versions in registered.items()
    }


def points(count, whole_s, seed):
    """Moments that cover the length of a command evenly, each one random within its part."""
    pick = random.Random(seed)
    found = [(part + pick.random()) / count * whole_s for part in range(count)]
    pick.shuffle(found)
    return found


def duration_s(work):
    command = work.next()
    start = time.perf_counter()
    work.aiko.datakeep(*command, cwd=work.keep)
    work.done(command)
    return time.perf_counter() - start


def kill_again_and_again(work, count, seed=20261120):
    for number, after_s in enumerate(points(count, duration_s(work), seed)):
        command = work.next()
        process = work.aiko.start(*command, cwd=work.keep)
        time.sleep(after_s)
        # The out-of-memory killer takes one process only: git and the sandbox outlive their parent a while.
        kill = os.kill if number % 3 == 1 else os.killpg
        kill(process.pid, signal.SIGKILL)
        process.wait()
        look(work)
        assert_whole(work.keep, work.vault)
        work.aiko.datakeep(*command, cwd=work.keep)
        work.done(command)
        assert_whole(work.keep, work.vault)
        assert_tidy(work.keep, work.vault)
        for pipe in (process.stdout, process.stderr):
            pipe.close()


@pytest.mark.parametrize("work", ["register", "adopt", "update", "verify"], indirect=True)
def test_a_killed_command_is_completed_by_its_next_run(work):
    kill_again_and_again(work, 3)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("work", ["register", "adopt", "update", "verify"], indirect=True)
def test_a_hundred_kills_of_a_command(work):
    kill_again_and_again(work, 100)


def interrupt(work, command, after_s, *, group):
    """Ctrl-C ``after_s`` after datakeep's own first line of code; what came of it."""
    # Python's start is not ours to be quiet in; -X importtime tells when it is over.
    work.aiko.extra["PYTHONPROFILEIMPORTTIME"] = "1"
    process = work.aiko.start(*command, cwd=work.keep)
    told = []
    for line in process.stderr:
        told.append(line)
        if line.rstrip().endswith("| datakeep.cli"):
            break
    time.sleep(after_s)
    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    del work.aiko.extra["PYTHONPROFILEIMPORTTIME"]
    lines = [line for line in ("".join(told) + err).splitlines() if not line.startswith("import time:")]
    return process.returncode, out, "\n".join(lines)


def interrupt_again_and_again(work, count, seed=7):
    published = work.vault / "git" / "keeps" / "keep.git"
    for number, after_s in enumerate(points(count, duration_s(work), seed)):
        before = git(published, "rev-parse", "main")
        command = work.next()
        code, out, err = interrupt(work, command, after_s, group=number % 2 == 0)
        assert "Traceback" not in out + err
        recorded = git(published, "rev-parse", "main") != before
        if code == 130:
            said = "interrupted after it was recorded" if recorded else "interrupted; nothing was recorded"
            assert said in err, (after_s, err)
            assert "next: " in err
        else:  # it came too late
            assert (code, recorded) == (0, True), (after_s, out, err)
        work.aiko.datakeep(*command, cwd=work.keep)
        work.done(command)
        assert_tidy(work.keep, work.vault)


@pytest.mark.parametrize("work", ["register", "verify"], indirect=True)
def test_ctrl_c_says_the_truth_and_leaves_nothing(work):
    interrupt_again_and_again(work, 3)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("work", ["register", "update", "verify"], indirect=True)
def test_a_hundred_times_ctrl_c(work):
    interrupt_again_and_again(work, 100)


@pytest.mark.parametrize("count", [5, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(7200)])])
@pytest.mark.parametrize("work", ["register"], indirect=True)
def test_no_ctrl_c_is_lost_while_a_query_loads_and_begins(work, count):
    """By libraries that drop what is raised in them, or fail instead; the rows take far longer than that."""
    query = work.source / "many.sql"
    query.write_text("SELECT range AS id FROM range(100000000) ORDER BY id")
    facts = facts_without("--origin", "--extracted-at")
    command = ("register", "many", "--sql", query, "--database", "duckdb:", *facts)
    for number, after_s in enumerate(points(count, 0.8, 11)):
        code, out, err = interrupt(work, command, after_s, group=number % 2 == 0)
        said = ["error: interrupted; nothing was recorded", "  next: run the same command again"]
        assert (code, out, err.strip().split("\n")) == (130, "", said), after_s
        assert_tidy(work.keep, work.vault)


def has_workers(pid):
    with suppress(OSError):  # one of them has just ended
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return any("spawn_main" in Path(f"/proc/{child}/cmdline").read_text() for child in children)
    return False


@pytest.mark.parametrize("work", ["register"], indirect=True)
def test_ctrl_c_among_worker_processes_is_one_message(work):
    many = work.source / "many"
    many.mkdir()
    for number in range(5000):
        (many / str(number)).write_text(str(number))
    for part, after_s in enumerate((0, 0.15)):
        command = ("register", f"many-{part}", work.source, "--backend", "dvc", *work.facts)
        process = work.aiko.start(*command, cwd=work.keep)
        while process.poll() is None and not has_workers(process.pid):
            time.sleep(0.01)
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, out) == (130, ""), err
        assert err.split("\n", 2)[1:] == [
            "error: interrupted; nothing was recorded",
            "  next: run the same command again\n",
        ]
        assert not list(work.vault.rglob("incoming"))


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
def test_a_verification_killed_while_it_trains_is_tidied_by_the_next(
    aiko, keep, orders, training, facts, sandbox
):
    temporary, slow = aiko.cwd / "temporary", orders / "slow.txt"
    temporary.mkdir()
    aiko.extra["TMPDIR"] = str(temporary)
    slow.write_text("0")
    script = training / "train.py"
    wait = 'import time, pathlib, sys\ntime.sleep(float(pathlib.Path(sys.argv[2], "slow.txt").read_text()))\n'
    script.write_text(wait + script.read_text())
    register = ("register", "orders", orders, "--backend", "dvc", *facts)
    state = (
        "reference", "orders", "--code", training, "--model-file", "model.json", "--expect", "accuracy=0.75±0.01",
        "--command", "python train.py --data {data} --out {out}", "--baseline", "accuracy=0.5",
    )  # fmt: skip
    for command in (register, state):
        aiko.datakeep(*command, cwd=keep)
    slow.write_text("600")
    aiko.datakeep("update", "orders", orders, "-m", "a training that takes long", cwd=keep)
    rooms = keep / ".datakeep" / "rooms"
    process = aiko.start("verify", "orders", "--sandbox", sandbox, cwd=keep)
    until(lambda: list(rooms.glob("*/datakeep-training-*/log")) or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert list(rooms.glob("*/datakeep-training-*/log")), "it was killed in its training"
    assert list(temporary.iterdir()) == [], "nothing of it lies where nobody would look"
    aiko.datakeep("verify", "orders@v2", "--sandbox", sandbox, cwd=keep)
    assert [path.name for path in rooms.iterdir()] == ["lock"]
    assert list(temporary.iterdir()) == []
