"""The stand-in as a program of its own, driven over its port, and what its import leaves alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.tablestore_client import columns_of, connecting, create_table, put

PROGRAM = [sys.executable, "-W", "error", "-m", "infra.emulators.tablestore"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_serves_and_ends_when_told(ending: signal.Signals) -> None:
    arguments = ["--instance", "alone", "--index-lag", "0.1"]
    with subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        where: Any = SimpleNamespace(**json.loads(process.stdout.readline()))
        with connecting(where) as client:
            create_table(client)
            put(client, "a", state="OPEN")
            assert columns_of(client, "a") == {"state": "OPEN"}
            process.send_signal(ending)
            said, complained = process.communicate(timeout=20)
    assert (process.returncode, said, complained) == (0, b"", b"")


def test_importing_it_says_nothing_and_does_not_load_the_sdk() -> None:
    check = "import sys, infra.emulators.tablestore as _; sys.exit('tablestore' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", check], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
