"""A training that is attended: what asks it to end is its own matter, whenever it comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from datakeep.rerun import attended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Late:
    """Stands where the GPUs are asked: the training has ended, of a signal, before datakeep waits for either.

    A thread of a library gets the signal, as the kernel may choose: Python then interrupts the main thread.
    """

    used = ()

    def __enter__(self) -> Self:
        told = threading.Event()
        other = threading.Thread(target=told.wait, daemon=True)
        other.start()
        signal.pthread_kill(other.ident or 0, signal.SIGINT)
        told.set()
        other.join()
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def null() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("code", [0, 3])
def test_ctrl_c_that_another_thread_got_before_the_training_was_waited_for_is_the_trainings(
    monkeypatch: pytest.MonkeyPatch, null: int, code: int
) -> None:
    monkeypatch.setattr(attended, "Sampler", _Late)
    ended = attended.run(
        [sys.executable, "-I", "-S", "-c", f"raise SystemExit({code})"],
        shown="python",
        environment={},
        stdout=null,
        lines=attended.Lines(),
    )
    assert ended.exit_code == code
    assert ended.interrupted


def _run(code: str, stdout: int, lines: attended.Lines) -> attended.Ended:
    argv = [sys.executable, "-I", "-S", "-c", code]
    return attended.run(argv, shown="python", environment={}, stdout=stdout, lines=lines)


@pytest.mark.parametrize("blocks", [True, False])
def test_all_that_was_printed_reaches_a_slow_reader_and_its_last_number_counts(blocks: bool) -> None:
    read: list[bytes] = []
    source, target = os.pipe()
    os.set_blocking(target, blocks)

    def take() -> None:
        time.sleep(1.5)
        while chunk := os.read(source, 1 << 16):
            read.append(chunk)

    reader = threading.Thread(target=take)
    reader.start()
    lines = attended.Lines()
    ended = _run("print('x\\n' * 75_000 + '{\"loss\": 1}\\n' * 4_000 + '{\"loss\": 2}')", target, lines)
    os.close(target)
    reader.join()
    os.close(source)
    assert ended.exit_code == 0
    assert ended.not_written == ""
    assert lines.found == {"loss": "2"}
    assert b"".join(read) == b"x\n" * 75_000 + b'{"loss": 1}\n' * 4_000 + b'{"loss": 2}\n'


def test_a_training_whose_output_cannot_be_written_goes_on_and_that_is_said() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    lines = attended.Lines()
    ended = _run("print('x' * 300_000); print('{\"loss\": 2}')", full, lines)
    os.close(full)
    assert ended.exit_code == 0
    assert ended.not_written == "No space left on device"
    assert lines.found == {"loss": "2"}


def test_what_is_left_behind_and_prints_on_is_not_waited_for(null: int) -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    code = """import os
if not os.fork():
    try:
        while True:
            os.write(1, b"x" * 65536)
    except BrokenPipeError:
        os._exit(0)
"""
    assert _run(code, null, attended.Lines()).exit_code == 0
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_training_has_no_descriptors_but_its_own() -> None:
    source, target = os.pipe()
    _run("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))", target, attended.Lines())
    os.close(target)
    with os.fdopen(source) as said:
        assert said.read() == "[0, 1, 2, 3]\n"  # the last is that of the folder


#: An attendant that gets a SIGINT of the whole group just before it makes the training, and datakeep tells it so.
_EARLY = """
import json, os, signal, sys
from datakeep.rerun import attendant
from datakeep.rerun.process import memory_file
fork = os.fork
def late():
    for number in (signal.SIGINT, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    return fork()
os.fork = late
signal.pthread_sigmask(signal.SIG_BLOCK, attendant.BLOCKED)
order = {"argv": ["/bin/sleep", "5"], "environment": {}, "stdout": os.dup(1), "shown": "sleep"}
sys.exit(attendant.main(os.getppid(), memory_file(json.dumps(order)), 1))
"""


def test_ctrl_c_just_before_the_training_is_there_is_the_trainings() -> None:
    done = subprocess.run([sys.executable, "-c", _EARLY], stdout=subprocess.PIPE, check=True)
    assert json.loads(done.stdout)[0] == -signal.SIGINT


def test_ctrl_c_ends_the_wait_for_who_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    end = attended._Output.end

    def interrupted(output: attended._Output, *given: Any, **more: Any) -> None:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        end(output, *given, **more)

    monkeypatch.setattr(attended._Output, "end", interrupted)
    source, sink = os.pipe()
    much = "print('x' * 150_000); print('{\"loss\": 0.5}')"  # more than a pipe holds, and it fits into two
    ended = _run(much, sink, attended.Lines())
    assert (ended.exit_code, ended.interrupted) == (0, False)  # the training itself had ended
    os.close(source)
    os.close(sink)


def test_nothing_is_read_of_what_processes_that_were_left_print_later(tmp_path: Path, null: int) -> None:
    """The descriptor is another file's by then."""
    leaves = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, file=open(%r, 'w'))"
    try:
        assert _run(leaves % str(tmp_path / "id"), null, attended.Lines()).exit_code == 0
        assert "datakeep-output" not in {thread.name for thread in threading.enumerate()}
    finally:
        os.kill(int((tmp_path / "id").read_text()), signal.SIGKILL)
