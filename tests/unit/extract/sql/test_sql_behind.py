"""Work behind the reading: in order, one at a time, its faults told, nothing left running."""

from __future__ import annotations

import threading
import time

import pytest

from datakeep.extract.sql.behind import Behind


def test_items_are_worked_on_in_their_order_while_the_next_is_made() -> None:
    done: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def work(item: int) -> None:
        begun.set()
        go.wait(10)
        done.append(item)

    behind = Behind(work)
    behind.put(0)
    assert begun.wait(10)
    assert done == [], "the caller goes on meanwhile"
    go.set()
    for item in range(1, 5):
        behind.put(item)
    behind.settle()
    assert done == [0, 1, 2, 3, 4]
    behind.leave()


def test_what_it_raises_is_raised_by_the_next_call_and_not_when_it_is_left() -> None:
    def work(item: int) -> None:
        raise OSError(28, f"full at {item}")

    behind = Behind(work)
    behind.put(1)
    with pytest.raises(OSError, match="full at 1"):
        behind.put(2)
    behind.leave()


def test_who_leaves_waits_for_what_is_being_worked_on() -> None:
    done = []

    def work(item: int) -> None:
        time.sleep(0.2)
        done.append(item)

    behind = Behind(work)
    behind.put(1)
    behind.leave()
    assert done == [1]
    behind.leave()
