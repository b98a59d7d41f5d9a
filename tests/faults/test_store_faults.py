"""What is broken is never called whole: damaged objects, full and read-only disks, killed writers."""

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from server_process import PATIENCE_S, until

from datakeep.core.errors import AccessDenied, DamagedBytes, DatakeepError, InvalidFile, StoreUnmarked
from datakeep.core.progress import Silent
from datakeep.store.dvc_format import object_key, parse_tree_object, tree_object
from datakeep.store.fetch import fetch
from datakeep.store.folder import FolderStore
from datakeep.store.ingest import ingest, put_bytes
from datakeep.store.interface import MARKER_NAME, Marker
from datakeep.store.opening import create_store
from datakeep.store.scan import scan
from datakeep.store.verified import fetch_object


@pytest.fixture
def store(tmp_path):
    return create_store("main", str(tmp_path / "store"), keep="vision")


@pytest.fixture
def inventory(store, tmp_path):
    (tmp_path / "source").mkdir()
    for number in range(5):
        (tmp_path / "source" / f"{number}.txt").write_text(f"contents of {number}\n")
    return ingest(scan([tmp_path / "source"]).files, [store], "orders", Silent())


def flip(path):
    data = bytearray(path.read_bytes())
    data[random.Random(path.name).randrange(len(data))] ^= 0xFF
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def grow(path):
    with path.open("ab") as file:
        file.write(b"\0")


def make_folder(path):
    path.unlink()
    path.mkdir()


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


FAULTS = {
    flip: "mismatched",
    empty: "mismatched",
    cut: "mismatched",
    grow: "mismatched",
    Path.unlink: "missing",
    make_folder: "missing",
    make_pipe: "missing",
}


@pytest.mark.parametrize("harm", FAULTS, ids=lambda harm: harm.__name__)
def test_a_harmed_object_is_named_by_its_path_and_never_handed_out(store, inventory, tmp_path, harm):
    entry = next(iter(inventory.files))
    harm(store.path_of(object_key("orders", entry.md5.hex())))
    report = fetch(inventory, [store], "orders", tmp_path / "out", Silent())
    assert report.unavailable == [entry.path]
    assert [(f.path, f.store, f.kind) for f in report.faults] == [(entry.path, "main", FAULTS[harm])]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.txt", "2.txt", "3.txt", "4.txt"]
    assert (report.objects, report.by_store) == (4, {"main": 4})


@pytest.mark.parametrize("harm", FAULTS, ids=lambda harm: harm.__name__)
def test_a_harmed_tree_is_refused(store, inventory, harm):
    name = put_bytes(tree_object(inventory), [store], "orders", directory=True)
    harm(store.path_of(object_key("orders", name)))
    with pytest.raises(DamagedBytes, match="the file list of orders@v1 is in no store whole"):
        fetch_object(name, [store], "orders", limit_bytes=10_000, what="the file list of orders@v1")


def test_a_cut_tree_does_not_parse(inventory):
    with pytest.raises(InvalidFile):
        parse_tree_object(tree_object(inventory)[:-1], what="it")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "datakeep/store/9", "keep": "vision"}'])
def test_a_damaged_marker_is_not_a_store(store, text):
    (store.root / MARKER_NAME).write_text(text)
    with pytest.raises(StoreUnmarked):
        store.check()


def test_a_folder_of_other_things_is_not_taken_for_a_store(tmp_path):
    (tmp_path / "homework.txt").touch()
    with pytest.raises(StoreUnmarked, match="not a store"):
        FolderStore("main", tmp_path).check()
    with pytest.raises(Exception, match="holds other files") as caught:
        FolderStore("main", tmp_path).create(Marker("vision", datetime.now(UTC)))
    assert caught.value.id() == "already-exists"


def test_no_right_to_write_is_said_so(store):
    if os.geteuid() == 0:
        for folder in (store.root, *store.root.parents):
            folder.chmod(folder.stat().st_mode | 0o055)
        os.seteuid(65534)
    else:
        store.root.chmod(0o555)
    try:
        store.check()
        with pytest.raises(AccessDenied, match="no right to write"):
            store.check(writable=True)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


ON_A_SMALL_DISK = """
import json, subprocess, sys
from pathlib import Path
from datakeep.core.errors import DatakeepError
from datakeep.core.progress import Silent
from datakeep.store import folder, ingest
from datakeep.store.opening import create_store
from datakeep.store.scan import scan
disk, source, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
store = create_store("nas", str(disk / "store"), keep="vision")
if how == "read-only":
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
if how == "surprise":  # as a quota, that nobody sees before it is reached
    folder.FolderStore.free_bytes = lambda self: None
try:
    ingest.ingest(scan([source]).files, [store], "orders", Silent())
except DatakeepError as fault:
    left = [str(path) for path in disk.rglob("*") if path.is_file() and "incoming" in path.parts]
    print(json.dumps({"id": fault.id(), "what": fault.what, "left": left}))
"""


def on_a_small_disk(tmp_path, how):
    (tmp_path / "disk").mkdir()
    (tmp_path / "big").mkdir()
    for number in range(30):
        (tmp_path / "big" / str(number)).write_bytes(os.urandom(70_000))
    (tmp_path / "big" / "huge").write_bytes(os.urandom(5_000_000))
    done = subprocess.run(
        ["unshare", "-Urm", sys.executable, "-c", ON_A_SMALL_DISK, tmp_path / "disk", tmp_path / "big", how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_full_disk_is_foreseen(tmp_path):
    found = on_a_small_disk(tmp_path, "full")
    assert found["id"] == "no-space"
    assert re.search(
        r"need 6\.1 MB more on store 'nas' .*: 7\.1 MB are needed, 1\.1 MB are free", found["what"]
    )
    assert found["left"] == []


def test_a_disk_that_fills_on_the_way_leaves_nothing_temporary(tmp_path):
    found = on_a_small_disk(tmp_path, "surprise")
    assert found["id"] == "no-space"
    assert "is full" in found["what"]
    assert found["left"] == []


def test_read_only_is_another_word_than_full(tmp_path):
    found = on_a_small_disk(tmp_path, "read-only")
    assert found["id"] == "access-denied"
    assert "is read-only" in found["what"]


INGEST = """
import sys
from pathlib import Path
from datakeep.core.progress import Silent
from datakeep.store import pool
from datakeep.store.ingest import ingest
from datakeep.store.opening import open_store
from datakeep.store.scan import scan
if __name__ == "__main__":
    pool._BATCH_FILES = 40
    pool.PROCESSES_FROM_FILES = 1
    files = scan([Path(sys.argv[1])]).files
    print("ready", flush=True)
    ingest(files, [open_store("main", sys.argv[2])], "orders", Silent(), workers=2)
"""


@pytest.fixture
def many(tmp_path):
    (tmp_path / "many").mkdir()
    for number in range(800):
        (tmp_path / "many" / f"{number}.txt").write_text(f"{number}\n" * 50)
    (tmp_path / "ingest.py").write_text(INGEST)
    return tmp_path / "many"


def children_of(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill_after(delay_s, many, store):
    command = [sys.executable, many.parent / "ingest.py", many, store.root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        time.sleep(delay_s)
        children = children_of(process.pid) if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: not any(map(is_running, children)), said="a worker outlived its parent")


def check_killed(many, store, delays_s):
    for delay_s in delays_s:
        kill_after(delay_s, many, store)
        for path in store.root.rglob("files/md5/*/*"):
            assert hashlib.md5(path.read_bytes()).hexdigest() == path.parent.name + path.name
    inventory = ingest(scan([many]).files, [store], "orders", Silent())
    assert len(inventory) == 800
    kept = [path for path in store.root.rglob("*") if path.is_file()]
    assert len(kept) == 801, "every object, the marker, and nothing temporary"


def test_a_killed_ingest_leaves_whole_objects_and_the_next_one_completes(many, store):
    pick = random.Random(20261120)
    check_killed(many, store, [pick.uniform(0, 1.2) for _ in range(4)])


@pytest.mark.parametrize("delay_s", [0.1, 0.6])
def test_ctrl_c_is_quiet_and_leaves_nothing_temporary(many, store, delay_s):
    process = subprocess.Popen(
        [sys.executable, many.parent / "ingest.py", many, store.root],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process.stdout.readline()
    time.sleep(delay_s)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert told.count("Traceback") <= 1, "of the program itself, not of its workers"
    assert not [path for path in store.root.rglob("*") if "incoming" in path.parts]


@pytest.mark.long
def test_a_hundred_kills(many, store):
    pick = random.Random(7)
    check_killed(many, store, [pick.uniform(0, 1.5) for _ in range(100)])


KILLED_AT_A_STEP = """
import os
import signal
import sys
from pathlib import Path

from datakeep.store.folder import FolderStore
from datakeep.store.opening import open_store

def count(event, arguments):
    global step
    if event in {"os.mkdir", "open", "fcntl.flock", "os.rename", "os.remove", "os.rmdir", "os.link"}:
        step -= 1
        if step == 0:
            os.kill(os.getpid(), signal.SIGKILL)

store = open_store("main", sys.argv[1])
step = int(sys.argv[2])
sys.addaudithook(count)
store.put("orders/files/md5/ab/" + "0" * 30, [b"x"])
store.close()
"""


def test_what_a_writer_killed_at_any_step_left_is_removed_by_the_next(store):
    """Between the making of its folder and of the lock in it, as well as while it removes them."""
    for step in range(1, 100):
        ended = subprocess.run(
            [sys.executable, "-c", KILLED_AT_A_STEP, store.root, str(step)], check=False
        ).returncode
        left = [path for path in store.root.rglob("*") if "incoming" in path.parts and path.is_file()]
        store.tidy("orders")
        assert not list((store.root / "orders/datakeep").rglob("incoming/*")), f"killed at {step} with {left}"
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
    assert step > 8
    assert not (store.root / "orders/datakeep").exists(), "whoever ends takes his folders away"


def test_what_cannot_be_removed_now_is_removed_later(store, monkeypatch):
    session = store.root / "orders/datakeep/incoming/dead"
    session.mkdir(parents=True)
    for name in ("in-use", "a", "b", "c"):
        (session / name).write_bytes(b"x")
    real = Path.unlink
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda path, **_: None if path.name == "b" else real(path))
        store.tidy("orders")
    assert sorted(path.name for path in session.iterdir()) == ["b", "in-use"]
    store.tidy("orders")
    assert not session.exists()


def test_files_without_a_lock_are_left_for_a_day(store):
    session = store.root / "orders/datakeep/incoming/of-another-datakeep"
    session.mkdir(parents=True)
    (session / "a").write_bytes(b"x")
    store.tidy("orders")
    assert session.exists()
    os.utime(session, (0, 0))
    store.tidy("orders")
    assert not session.exists()


BUSY = """
import sys
import time
from datakeep.store.opening import open_store

until = time.monotonic() + 2
while time.monotonic() < until:
    store = open_store("main", sys.argv[1])
    store.put("orders/files/md5/ab/" + "0" * 30, [b"x"])
    store.close()
    store.tidy("orders")
"""


def test_writers_that_begin_and_end_at_once_are_not_in_each_others_way(store):
    argv = [sys.executable, "-c", BUSY, store.root]
    running = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(4)]
    for one in running:
        _, said = one.communicate(timeout=PATIENCE_S)
        assert one.returncode == 0, said.decode()
    assert not (store.root / "orders/datakeep").exists()


def test_a_link_to_nowhere_in_the_place_of_the_folder_is_one_error(store, tmp_path):
    (store.root / "orders").mkdir()
    (store.root / "orders/datakeep").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DatakeepError, match="File exists") as caught:
        store.put("orders/files/md5/ab/" + "0" * 30, [b"x"])
    assert "orders/datakeep is in the way" in caught.value.what
    assert "move it away" in caught.value.next_step
