from __future__ import annotations

import os
import signal
import threading

import pytest

from xsweep.engine.signals import interruptible


def test_first_signal_asks_and_second_ctrl_c_ends() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    said: list[str] = []
    with interruptible(said.append) as stop:
        assert not stop.event.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.event.wait(1)
        assert stop.signal == signal.SIGINT
        assert said == ["SIGINT: stopping; Ctrl+C again ends at once"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_sigterm_asks_however_often() -> None:
    said: list[str] = []
    with interruptible(said.append) as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
    assert said == ["SIGTERM: stopping"]


def test_other_threads_get_a_stop_that_nothing_sets() -> None:
    found: list[bool] = []

    def body() -> None:
        with interruptible(print) as stop:
            found.append(stop.event.is_set())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert found == [False]
