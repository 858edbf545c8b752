"""What the conformance suite asks of a client: a program that does one job, described in JSON, and says how it went.

The job's members: ``url``, ``key``, ``settings`` (by the names of the client), ``filename``, ``options``,
``idempotency_key``, ``columns`` and ``rows`` (how many of the table below), or ``sheets``; ``odd_row``, ``odd_cell``,
``odd_value`` (a row that differs in one cell; "broken text" and "a moment of long ago", the midnight at the beginning
of 1900-12-31 in Shanghai, 8:05:43 before UTC, are what the language has for them), ``fails_at`` (the row at which the
source of rows throws an error of its own, which is said as the code SOURCE), ``source`` ("once" can be read once,
"list" again and again), ``again`` (how often the same rows are given to another export after an error of the client),
``twice`` (whether they are given to another one behind the first, which is waited for), ``restart`` (true, or
"stopped": what the client calls `restartIfStopped`, for ``look_s`` seconds), ``task_id``, ``wait_s``, ``save_to``. Or
``notice``, ``headers`` and ``secrets`` of a webhook, which is verified and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.compiled_clients import JAVA_FLAGS, compiled_go, compiled_java
from tests.support.programs import skip_without

ROOT = Path(__file__).parents[2]
RUN_S = 300

COLUMNS = {"id": "number", "customer": "string", "paid": "boolean", "amount": "number", "serial": "string"}


def row(number: int) -> tuple[str, str, str, str, str]:
    """Row ``number`` of the table that every sender sends, as the cells of a CSV file without guard."""
    amount = "" if number % 7 == 0 else f"{number / 4:.2f}".rstrip("0").rstrip(".")
    paid = "true" if number % 2 == 0 else "false"
    return str(number), f'客户 {number} 😀, "quoted"\n=1+1', paid, amount, f"2025031400000{number:07}"


@dataclass(frozen=True)
class Sender:
    """A client in its language."""

    name: str
    programs: tuple[str, ...]
    """Of the system; the tests are skipped without one of them."""
    command: tuple[str, ...]
    compiled: Callable[[], Path] | None = None
    """Compiles it where that was not done, and says where it is: the ``{compiled}`` of the command."""
    kinds: bool = True
    """Whether its errors are of several classes, by what the caller does next; ``code`` says the rest."""
    sends_any_key: bool = True
    """Whether a key may be text of any language: that of Java would send a question mark for what is not ASCII."""

    def start(self, job: Mapping[str, object]) -> subprocess.Popen[str]:
        for program in self.programs:
            skip_without(program)
        command = self.command
        if self.compiled is not None:
            command = tuple(part.replace("{compiled}", str(self.compiled())) for part in command)
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(job))
        process.stdin.close()
        process.stdin = None
        return process

    def run(self, job: Mapping[str, object]) -> dict[str, Any]:
        """The last thing that it said: ``done`` or ``failed``."""
        with self.start(job) as process:
            output, errors = process.communicate(timeout=RUN_S)
        assert (process.returncode, errors) == (0, ""), (process.returncode, output[-2_000:], errors[-2_000:])
        last: dict[str, Any] = json.loads(output.splitlines()[-1])
        return last

    def done(self, job: Mapping[str, object]) -> dict[str, Any]:
        said = self.run(job)
        assert said["event"] == "done", said
        return said

    def failed(self, job: Mapping[str, object]) -> dict[str, Any]:
        said = self.run(job)
        assert said["event"] == "failed", said
        return said


def said_by(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """What a sender says, as it says it; ends when it is killed."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("\n"):
            yield json.loads(line)


PHP = Sender("php", ("php", "php-curl"), ("php", "-d", "memory_limit=64M", "clients/php/tests/send.php"))
PYTHON = Sender("python", (), (sys.executable, "tests/senders/send.py"), kinds=False)
TYPESCRIPT = Sender("typescript", ("node",), ("node", "--max-old-space-size=32", "clients/typescript/tests/send.js"))
JAVA = Sender(
    "java",
    ("javac",),
    ("java", *JAVA_FLAGS, "-Xmx64m", "-cp", "{compiled}", "io.sluice.client.Send"),
    compiled=compiled_java,
    sends_any_key=False,
)
GO = Sender("go", ("go",), ("{compiled}/send",), compiled=compiled_go)
ALL = (PHP, PYTHON, TYPESCRIPT, JAVA, GO)
SENDERS = (PHP, PYTHON, *(pytest.param(one, marks=pytest.mark.more_languages) for one in (TYPESCRIPT, JAVA, GO)))
