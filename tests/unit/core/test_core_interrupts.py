"""Signals that end a process: each once, none of them in the middle of cleaning up, none lost."""

import signal
import time
from contextlib import suppress

import pytest

from datakeep.core import interrupts


@pytest.fixture(autouse=True)
def handled(monkeypatch):
    monkeypatch.setattr(interrupts._Wish, "at", float("-inf"))
    monkeypatch.setattr(interrupts._Wish, "is_open", False)
    before = {ending: signal.signal(ending, interrupts.stop) for ending in interrupts.ENDING}
    yield
    for ending, handler in before.items():
        signal.signal(ending, handler)


@pytest.fixture
def comes_again():
    before = signal.signal(signal.SIGALRM, interrupts.once_more)
    yield
    interrupts.heard()
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("ending", interrupts.ENDING)
def test_each_interrupts_and_is_known_afterwards(ending):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(ending)
    assert interrupts.stopped_by() == ending


def test_cleaning_up_is_not_cut_in_half():
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  (what is tested is the order)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            done.append("cleaned up")
    assert done


def test_one_that_got_lost_does_not_silence_the_next():
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_who_insists_is_heard_in_the_end(monkeypatch):
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012  (what is tested is the order)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            monkeypatch.setattr(interrupts, "_CLEANING_S", 0)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("ending", interrupts.ENDING)
def test_deferred_only_notes_each(ending):
    with interrupts.deferred() as came:
        assert not came()
        signal.raise_signal(ending)
        assert came()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(ending)
    assert signal.getsignal(ending) is interrupts.stop


def test_a_handler_of_somebody_elses_stays():
    """Of a training that is told by SIGTERM to save what it has."""
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append("save"))
    with interrupts.deferred() as came:
        signal.raise_signal(signal.SIGTERM)
        assert told
        assert not came()


def test_what_fails_after_an_interruption_came_of_it():
    assert not interrupts.is_interruption(RuntimeError("Query interrupted"))
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert interrupts.is_interruption(RuntimeError("Query interrupted"))
    assert not interrupts.is_interruption(SystemExit(0))


def test_who_goes_on_after_an_interruption_may_fail_for_other_reasons():
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    interrupts.heard()
    assert not interrupts.is_interruption(RuntimeError("the disk is gone"))


def is_interrupted(work):
    """Whether ``work`` is, which is then heard."""
    try:
        work()
    except KeyboardInterrupt:
        interrupts.heard()
        return True
    return False


def test_one_that_was_dropped_comes_once_more(comes_again):
    def work():
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        time.sleep(5)

    assert is_interrupted(work)
    time.sleep(0.1)  # where it was heard, it does not


def test_a_generator_that_an_interruption_closes_clears_up_first(comes_again):
    """It is closed before any handler has the interruption: the loop's iterator goes as soon as its frame is left."""
    done = []

    def numbers():
        try:
            yield from range(3)
        finally:
            time.sleep(0.1)
            done.append("cleared up")

    def work():
        for _ in numbers():
            signal.raise_signal(signal.SIGINT)

    assert is_interrupted(work)
    assert done


def test_one_that_is_dropped_while_a_generator_is_closed_comes_afterwards(comes_again):
    def numbers():
        try:
            yield 1
        finally:
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            time.sleep(0.1)

    def work():
        found = numbers()
        next(found)
        found.close()
        time.sleep(5)

    assert is_interrupted(work)


def test_an_uninterrupted_block_is_whole():
    done = []

    def work():
        with interrupts.uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")

    assert is_interrupted(work)
    assert done
    with interrupts.uninterrupted():
        pass
