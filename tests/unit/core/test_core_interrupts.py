"""Signals that end a process: each once, none of them in the middle of cleaning up, none lost."""

import signal

import pytest

from datakeep.core import interrupts


@pytest.fixture(autouse=True)
def handled(monkeypatch):
    monkeypatch.setattr(interrupts._Wish, "at", float("-inf"))
    before = {ending: signal.signal(ending, interrupts.stop) for ending in interrupts.ENDING}
    yield
    for ending, handler in before.items():
        signal.signal(ending, handler)


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
