"""A training that is attended: what asks it to end is its own matter, whenever it comes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Self

import pytest

from datakeep.rerun import attended

if TYPE_CHECKING:
    from collections.abc import Iterator


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
