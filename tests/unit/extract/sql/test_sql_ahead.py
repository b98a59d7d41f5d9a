"""Another thread makes a driver's calls: the same items and errors, one ahead, and no wait that cannot be ended."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from types import SimpleNamespace

import pytest
from server_process import PATIENCE_S, until

from datakeep.extract.sql import ahead as module
from datakeep.extract.sql.ahead import Begun, ahead, interruptible


def test_items_come_in_order_and_errors_where_they_happened():
    def items():
        yield from range(5)
        raise ZeroDivisionError("sixth")

    seen = []
    with ahead(items(), lambda: None) as reading, pytest.raises(ZeroDivisionError, match="sixth"):
        seen.extend(reading)
    assert list(reading) == []
    with ahead(items(), lambda: None) as reading:
        for item in reading:
            seen.append(item)
            if item == 2:
                break
    assert seen[-3:] == [0, 1, 2]
    assert list(reading) == [], "nothing comes, and nothing waits, after it was left"


def test_only_a_few_items_are_made_before_they_are_wanted():
    made = []
    with ahead((made.append(number) or number for number in range(100)), lambda: None) as reading:
        assert next(reading) == 0
        time.sleep(0.2)
        assert len(made) <= 3


def test_who_leaves_cancels_what_waits():
    stopped = threading.Event()

    def items():
        yield 1
        stopped.wait(600)
        yield 2

    with ahead(items(), stopped.set) as reading:
        assert next(reading) == 1
    assert stopped.is_set()
    assert reading.finished
    until(lambda: all(thread.name != "datakeep-driver" for thread in threading.enumerate()))


def test_a_call_gives_what_it_gives():
    assert interruptible(lambda: threading.current_thread().name, None) == "datakeep-driver"
    assert interruptible(lambda: None, None) is None
    with pytest.raises(KeyError, match="x"):
        interruptible(lambda: {}["x"], None)


def test_a_call_that_was_begun_goes_on_while_others_are_at_work():
    began, may = threading.Event(), threading.Event()

    def call():
        began.set()
        return may.wait(PATIENCE_S)

    begun = Begun(call).start()
    assert began.wait(PATIENCE_S)
    may.set()
    assert begun.outcome(None) is True
    failing = Begun(lambda: {}["x"]).start()
    with pytest.raises(KeyError, match="x"):
        failing.outcome(None)


@pytest.mark.parametrize("is_slow", [False, True])
def test_what_nobody_wants_any_more_is_handed_over_once_whenever_it_comes(monkeypatch, is_slow):
    monkeypatch.setattr(module, "_MOMENT_S", 0.05)
    may, closed = threading.Event(), []
    if not is_slow:
        may.set()
    begun = Begun(lambda: may.wait(PATIENCE_S) and "connection").start()
    begun.leave(closed.append)
    assert closed == ([] if is_slow else ["connection"])
    may.set()
    until(lambda: closed == ["connection"])


def test_a_call_that_fails_when_nobody_wants_it_says_nothing():
    closed = []
    begun = Begun(lambda: {}["x"]).start()
    begun.leave(closed.append)
    assert closed == []


def ctrl_c():
    """It comes to the main thread, as the terminal's does."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def interrupted(delay_s, work):
    """Whether Ctrl-C, so much later, ended ``work``."""
    timer = threading.Timer(delay_s, ctrl_c)
    try:
        timer.start()
        work()
        time.sleep(PATIENCE_S)
    except KeyboardInterrupt:
        return True
    finally:
        timer.join()
    return False


@pytest.mark.parametrize("delay_s", [0, 0.001, 0.01, 0.2])
def test_ctrl_c_cancels_a_call_and_waits_for_its_end(delay_s):
    stopped, begun, over = threading.Event(), threading.Event(), threading.Event()

    def call():
        begun.set()
        stopped.wait(600)
        time.sleep(0.05)
        over.set()

    assert interrupted(delay_s, lambda: interruptible(call, stopped.set, lambda: pytest.fail("it ended")))
    assert over.is_set() == begun.is_set()


def test_a_call_that_does_not_end_is_abandoned(monkeypatch):
    """It is told again and again, until its time is over; the time is told here by who looks at it."""
    monkeypatch.setattr("datakeep.extract.sql.ahead._AGAIN_S", 0.01)
    clock = SimpleNamespace(monotonic=itertools.count(0, 4).__next__)
    monkeypatch.setattr("datakeep.extract.sql.ahead.time", clock)
    stopped, cancelled, abandoned = threading.Event(), [], []

    def call():
        ctrl_c()
        stopped.wait(600)

    with pytest.raises(KeyboardInterrupt):
        interruptible(call, lambda: cancelled.append(1), lambda: abandoned.append(1))
    assert (abandoned, cancelled) == ([1], [1, 1])
    with ahead(iter(lambda: stopped.wait(600), None), lambda: None, lambda: abandoned.append(2)):
        pass
    assert abandoned == [1, 2]
    stopped.set()


@pytest.mark.parametrize("delay_s", [0, 0.001, 0.1])
def test_ctrl_c_while_items_are_waited_for_ends_the_reading(delay_s):
    stopped = threading.Event()

    def items():
        stopped.wait(600)
        yield 1

    def work():
        with ahead(items(), stopped.set, lambda: pytest.fail("it ended")) as reading:
            next(reading)

    assert interrupted(delay_s, work)
