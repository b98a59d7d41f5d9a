"""A training that is attended: what asks it to end is its own matter, whenever it comes; what it prints arrives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from server_process import until

from datakeep.rerun import attended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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


def _ended_of(program: str, stdout: int, lines: attended.Lines) -> attended.Ended:
    argv = [sys.executable, "-I", "-S", "-c", program]
    return attended.run(argv, shown="python", environment={"PATH": "/bin"}, stdout=stdout, lines=lines)


def _when_gone(process_id: Path, then: Callable[[], None]) -> threading.Thread:
    """A thread that does something when the program that wrote its id there has been waited for."""

    def wait() -> None:
        until(lambda: process_id.exists() and process_id.read_text())
        until(lambda: not Path("/proc", process_id.read_text()).exists())
        then()

    other = threading.Thread(target=wait)
    other.start()
    return other


#: More than the pipe to datakeep's reader holds; it does not fit into that of the training, either.
_MUCH = "import os; print('x' * 150_000); print('{\"loss\": 0.5}', flush=True); open(%r, 'w').write(str(os.getpid()))"


def test_what_the_training_printed_arrives_however_late_it_is_read(tmp_path: Path) -> None:
    lines, said, (source, sink) = attended.Lines(), [], os.pipe()
    late = threading.Event()

    def read() -> None:
        late.wait(2 * attended._DRAIN_S)
        while chunk := os.read(source, 65536):
            said.append(chunk)

    reader = _when_gone(tmp_path / "id", read)
    assert _ended_of(_MUCH % str(tmp_path / "id"), sink, lines).exit_code == 0
    os.close(sink)
    reader.join()
    os.close(source)
    assert b"".join(said) == b"x" * 150_000 + b'\n{"loss": 0.5}\n'
    assert lines.found == {"loss": "0.5"}


def test_ctrl_c_ends_the_wait_for_who_does_not_read(tmp_path: Path) -> None:
    source, sink = os.pipe()
    other = _when_gone(tmp_path / "id", lambda: os.kill(os.getpid(), signal.SIGINT))
    ended = _ended_of(_MUCH % str(tmp_path / "id"), sink, attended.Lines())
    other.join()
    assert (ended.exit_code, ended.interrupted) == (0, True)
    os.close(source)
    os.close(sink)


def test_nothing_is_read_of_what_processes_that_were_left_print_later(tmp_path: Path, null: int) -> None:
    """The descriptor is another file's by then."""
    leaves = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, file=open(%r, 'w'))"
    try:
        assert _ended_of(leaves % str(tmp_path / "id"), null, attended.Lines()).exit_code == 0
        assert "datakeep-output" not in {thread.name for thread in threading.enumerate()}
    finally:
        os.kill(int((tmp_path / "id").read_text()), signal.SIGKILL)


def test_output_that_must_not_wait_is_waited_for() -> None:
    """As the terminal or pipe of a shell is, that another program has set so."""
    said, (source, sink) = [], os.pipe()
    os.set_blocking(sink, False)

    def read() -> None:
        while chunk := os.read(source, 4096):
            said.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    assert _ended_of("print('x' * 500_000)", sink, attended.Lines()).exit_code == 0
    os.close(sink)
    reader.join()
    os.close(source)
    assert b"".join(said) == b"x" * 500_000 + b"\n"
