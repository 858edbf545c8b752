"""A service stops at a signal, whichever of its threads the system hands it to."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from sluice.app.stop_signal import ServingThreads, wait_for_stop

SCRIPT = """
import signal, threading, time
from sluice.app.stop_signal import wait_for_stop

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda number, frame: stop.set())

def hear():
    time.sleep(0.2)  # the main thread sleeps by now
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)

threading.Thread(target=hear, daemon=True).start()
{wait}
print("stopped")
"""


def hears(wait: str, within_s: float) -> bool:
    command = [sys.executable, "-c", SCRIPT.format(wait=wait)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.stdout == "stopped\n"


def test_the_wait_ends_when_a_thread_that_serves_has_died() -> None:
    ends = threading.Event()
    serving = threading.Thread(target=ends.wait, name="a server", daemon=True)
    other = threading.Thread(target=lambda: None, name="another")
    serving.start()
    other.start()
    threads = ServingThreads({"a server"})
    other.join()
    assert threads.dead() == ""
    ends.set()
    serving.join()
    assert wait_for_stop(threading.Event(), threads) == "a server"


def test_a_signal_that_another_thread_gets_stops_the_service() -> None:
    assert hears("wait_for_stop(stop)", 20)


@pytest.mark.slow
def test_a_plain_wait_would_not_hear_it() -> None:
    assert not hears("stop.wait()", 3)
