"""Which files count as read, out of what strace and the audit hook wrote."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datakeep.rerun import audit_hook
from datakeep.rerun.attended import Lines
from datakeep.rerun.audit_hook import flags_of
from datakeep.rerun.clock import file_time_s
from datakeep.rerun.reads import born_after, from_hook, from_strace

TRACE = """\
1 openat(AT_FDCWD</w>, "a.csv", O_RDONLY|O_CLOEXEC) = 3</w/a.csv>
1 openat(AT_FDCWD</w>, "gone.csv", O_RDONLY) = -1 ENOENT (No such file or directory)
1 openat(AT_FDCWD</w>, "/w", O_RDONLY|O_DIRECTORY) = 3</w>
1 openat(AT_FDCWD</w>, "path", O_RDONLY|O_PATH) = 3</w/path>
1 openat(AT_FDCWD</w>, "/proc/self/fd/3", O_RDONLY) = 4</data/real.csv>
1 openat(AT_FDCWD</w>, "out", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</w/out>
1 openat(AT_FDCWD</w>, "out", O_RDONLY) = 3</w/out>
1 openat(AT_FDCWD</w>, "tmp", O_RDWR|O_CREAT|O_EXCL, 0600) = 3</w/tmp>
1 chdir("d") = 0
1 rename("../tmp", "final") = 0
1 openat(AT_FDCWD</w/d>, "final", O_RDONLY) = 3</w/d/final>
2 openat(AT_FDCWD</w>, "append", O_WRONLY|O_CREAT|O_APPEND, 0666) = 3</w/append>
2 openat(AT_FDCWD</w>, "base", O_RDWR|O_CREAT, 0666) = 3</w/base>
2 openat(AT_FDCWD</w>, "a.csv", O_WRONLY|O_TRUNC) = 3</w/a.csv>
2 openat(AT_FDCWD</w>, "both", O_RDWR <unfinished ...>
1 openat(AT_FDCWD</w/d>, "pipe", O_RDONLY) = 3<pipe:[7]>
2 <... openat resumed>) = 5</w/both>
2 openat(5</w/sub>, "\\346\\263\\250.csv", O_RDONLY) = 6</w/sub/\\346\\263\\250.csv>
2 openat2(AT_FDCWD</w>, "log", {flags=O_WRONLY|O_APPEND, resolve=RESOLVE_BENEATH}, 24) = 7</w/log>
2 openat2(AT_FDCWD</w>, "two", {flags=O_RDONLY|O_CLOEXEC, resolve=0}, 24) = 7</w/two>
2 openat(AT_FDCWD</w>, "passing", O_RDONLY) = 7</w/passing (deleted)>
2 openat(AT_FDCWD</w>, "(b)", O_RDONLY) = 7</w/(b)>
"""


def test_strace_is_read_by_where_descriptors_lead(tmp_path: Path) -> None:
    (tmp_path / "strace.txt").write_text(TRACE, "utf-8")
    found = from_strace(tmp_path, "/w")
    assert set(found.paths) == {
        "/w/a.csv",
        "/data/real.csv",
        "/w/base",
        "/w/both",
        "/w/sub/注.csv",
        "/w/two",
        "/w/passing",
        "/w/(b)",
    }
    assert found.perhaps_own == {"/w/append", "/w/base"}


def test_a_file_may_be_called_as_strace_notes_that_one_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a (deleted)").touch()
    line = '1 openat(AT_FDCWD</w>, "x", O_RDONLY) = 7<%s (deleted)>\n'
    text = line % (tmp_path / "a") + line % (tmp_path / "b")
    (tmp_path / "strace.txt").write_text(text)
    assert [*from_strace(tmp_path, "/w").paths] == [f"{tmp_path}/a (deleted)", f"{tmp_path}/b"]


_LINE = '7 openat(AT_FDCWD</w>, "a.csv", O_RDONLY|O_CLOEXEC) = 3</w/a.csv>\n'


@pytest.mark.parametrize("left", range(1, len(_LINE)))
@pytest.mark.parametrize("then", ["", _LINE])
def test_a_trace_that_a_full_disk_tore_is_not_taken_for_whole(tmp_path: Path, left: int, then: str) -> None:
    (tmp_path / "strace.txt").write_text(TRACE + _LINE[:left] + then, "utf-8")
    assert from_strace(tmp_path, "/w").is_torn or (
        then and left == 1
    )  # a digit more before a number says nothing


@pytest.mark.parametrize(("lines", "is_torn"), [(2, True), (3, False)])
def test_a_trace_that_is_too_long_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int, is_torn: bool
) -> None:
    monkeypatch.setattr("datakeep.rerun.strace.LIMIT_BYTES", lines * len(_LINE))
    (tmp_path / "strace.txt").write_text(3 * _LINE, "utf-8")
    found = from_strace(tmp_path, "/w")
    assert (found.is_torn, set(found.paths)) == (is_torn, {"/w/a.csv"})


def test_a_trace_with_all_that_strace_says_is_whole(tmp_path: Path) -> None:
    said = (
        '7 openat(AT_FDCWD</w>, "a", O_RDONLY <unfinished ...>) = ?\n'
        "7 openat(AT_FDCWD</w>, NULL, O_RDONLY) = -1 EFAULT (Bad address)\n"
        "7 +++ superseded by execve in pid 8 +++\n"
        "12345 <... openat resumed>, O_RDONLY) = 3</w/b>\n"
    )
    (tmp_path / "strace.txt").write_text(TRACE + RENAMED + said, "utf-8")
    assert not from_strace(tmp_path, "/w").is_torn


RENAMED = """\
1 openat(AT_FDCWD</w>, "a", O_RDONLY) = 3</w/a>
1 openat(4</elsewhere>, "inner", O_RDONLY|O_DIRECTORY) = 3</elsewhere/inner>
1 rename("a", "b") = 0
1 openat(AT_FDCWD</w>, "a", O_WRONLY|O_CREAT|O_EXCL, 0666) = 3</w/a>
1 rename("failed", "never") = -1 ENOENT (No such file or directory)
1 mkdir("made", 0777) = 0
1 openat(AT_FDCWD</w>, "made/x", O_RDWR|O_CREAT, 0666) = 3</w/made/x>
1 openat(AT_FDCWD</w>, "made", O_RDONLY) = 3</w/made>
1 rename("made", "moved") = 0
1 openat(AT_FDCWD</w>, "moved/x", O_RDONLY) = 3</w/moved/x>
1 renameat2(AT_FDCWD</w>, "data", 5</w/moved>, "data", 0) = 0
1 openat(AT_FDCWD</w>, "moved/data/1", O_RDONLY) = 3</w/moved/data/1>
1 openat(AT_FDCWD</w>, "old", O_RDONLY) = 3</w/old>
1 unlinkat(3</w>, "old", AT_REMOVEDIR) = 0
1 openat(AT_FDCWD</w>, "own", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</w/own>
1 rename("foreign", "own") = 0
1 openat(AT_FDCWD</w>, "own", O_RDONLY) = 3</w/own>
1 link("c", "d") = 0
1 openat(AT_FDCWD</w>, "d", O_RDONLY) = 3</w/d>
1 link("/proc/self/fd/9", "unnamed") = 0
1 openat(AT_FDCWD</w>, "unnamed", O_RDONLY) = 3</w/unnamed>
"""


def test_a_file_that_gets_another_name_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "strace.txt").write_text(RENAMED, "utf-8")
    found = from_strace(tmp_path, "/w")
    files = {"/w/a", "/w/data/1", "/w/foreign", "/w/c", "/w/unnamed"}
    assert set(found.paths) - found.no_files == files
    assert found.no_files >= {"/w/made", "/w/old"}
    places = found.moved_to()
    assert places["/w/a"][0] == "/w/b"
    assert places["/w/data/1"][0] == "/w/moved/data/1"
    assert places["/w/foreign"][0] == "/w/own"
    assert places["/w/c"] == ("/w/c", "/w/d")
    assert "/w/unnamed" not in places


def test_no_trace_is_nothing_read(tmp_path: Path) -> None:
    assert not from_strace(tmp_path, "/w").paths
    assert not from_hook(tmp_path).paths


def test_the_hooks_files_are_put_in_order_and_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    first = [["2", "O_RDONLY", "/own"], ["3", "O_RDONLY", "/read"]]
    second = [
        ["1", "O_WRONLY|O_CREAT|O_TRUNC", "/own"],
        ["4", "moved", "/own", "/other"],
        ["5", "O_RDONLY", "/other"],
    ]
    for number, events in enumerate((first, second)):
        text = "".join(json.dumps(event) + "\n" for event in events) + '["6", "O_RDO'
        (tmp_path / f"{number}.reads").write_text(text)
    assert set(from_hook(tmp_path).paths) == {"/read"}


#: A program that closes all descriptors, gets their numbers for its own files, and names files in vain.
_CLOSES = """
import os, sys
sys.path.insert(0, sys.argv[1])
import audit_hook
watch = audit_hook.install(sys.argv[2])
open("a").read()
os.closerange(3, 64)
mine = [os.open(f"mine{number}", os.O_WRONLY | os.O_CREAT) for number in range(4)]
open("b").read()
for call, old, new in ((os.link, "a", "c"), (os.rename, "none", "b")):
    try:
        call(old, new)
    except OSError:
        pass
open("c").read()
watch.active = False
assert not any(os.fstat(number).st_size for number in mine), "the hook wrote into the program's file"
"""


def test_the_hook_writes_into_no_file_but_its_own_and_follows_no_name_that_was_not_given(
    tmp_path: Path,
) -> None:
    told = tmp_path / "told"
    told.mkdir()
    for name in "abc":
        (tmp_path / name).write_text(name)
    argv = [sys.executable, "-I", "-c", _CLOSES, str(Path(audit_hook.__file__).parent), str(told)]
    subprocess.run(argv, cwd=tmp_path, check=True)
    assert {Path(path).name for path in from_hook(told).paths} >= {"a", "b", "c"}


@pytest.mark.parametrize(
    ("mode", "flags", "said"),
    [
        ("r", 0, "O_RDONLY"),
        ("w", 0o1101, "O_WRONLY|O_CREAT|O_TRUNC|O_CREAT|O_TRUNC"),
        (None, 0o302, "O_RDWR|O_CREAT|O_EXCL"),
        (None, None, "O_RDONLY"),
    ],
)
def test_the_hook_tells_flags_in_words(mode: object, flags: object, said: str) -> None:
    assert flags_of(mode, flags) == said


def test_the_file_system_tells_what_is_new(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "a new\none"
    old.write_text("x")
    time.sleep(0.5)
    began_s = file_time_s()
    new.write_text("x")
    old.write_text("changed")
    assert born_after([str(old), str(new), str(tmp_path / "gone")], began_s) == {str(new)}


def test_the_last_numbers_of_printed_lines_count() -> None:
    lines = Lines()
    for chunk in (
        b'epoch 1\n{"loss": 0.5, "name": "x", "ok": true}\n{"lo',
        b'ss": 0.250}\n{bad}\n',
        b'{"n": 3}',
    ):
        lines.take(chunk)
    lines.take(b"")
    lines.end()
    assert lines.found == {"loss": "0.250", "n": "3"}
    long = Lines()
    long.take(b'{"a": 1, "b": "' + b"x" * 100_000)
    long.take(b'"}\n{"c": NaN, "d": 2}\n')
    long.end()
    assert long.found == {"d": "2"}
    assert long.no_measurements == {"c": "NaN"}
    long.take(b'{"d": Infinity, "c": 5}\n{"e": 1e99999999999999999999, "f": ' + b"1" * 600 + b"}\n")
    assert long.found == {"c": "5"}
    assert long.no_measurements == {"d": "Infinity", "e": "1e99999999999999999999", "f": "1" * 600}


def test_so_many_printed_names_are_kept_and_no_more() -> None:
    lines = Lines()
    lines.take(b"".join(b'{"%d": 1}\n' % number for number in range(10_000)))
    assert not lines.is_cut
    lines.take(b'{"more": 1}\n{"7": 2}\n')
    assert lines.is_cut
    assert len(lines.found) == 10_000
    assert lines.found["7"] == "2"
