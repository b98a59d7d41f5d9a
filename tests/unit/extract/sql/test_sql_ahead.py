"""Another thread makes a driver's calls: the same items and errors, one ahead, and no wait that cannot be ended."""

from __future__ import annotations

import threading
import time

import pytest

from datakeep.extract.sql.ahead import ahead, interruptible


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
    began = time.monotonic()

    def items():
        yield 1
        stopped.wait(60)
        yield 2

    with ahead(items(), stopped.set) as reading:
        assert next(reading) == 1
    assert stopped.is_set()
    assert reading.finished
    assert time.monotonic() - began < 10
    assert not any(thread.name == "datakeep-ahead" for thread in threading.enumerate())


def test_a_call_gives_what_it_gives():
    assert interruptible(lambda: threading.current_thread().name) == "datakeep-call"
    assert interruptible(lambda: None) is None
    with pytest.raises(KeyError, match="x"):
        interruptible(lambda: {}["x"])
