"""What sends the order table from PHP, and the programs that write it in PHP instead: what each is and needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.programs import has

PROGRAMS = Path(__file__).with_name("subjects") / "senders"
EXTENSION = Path(__file__).resolve().parents[2] / "build/bench/php/xlswriter.so"
"""php-ext-xlswriter, where PHP does not load it by itself."""

COMPLAINTS = 22527
"""All but what PHP says of rivals that are older than it: E_ALL & ~E_DEPRECATED & ~E_STRICT."""


class Sender(NamedTuple):
    """One subject: it sends to a service, or writes a file in PHP."""

    name: str
    program: str
    """A file below `subjects/senders`; of PHP, what `run.php` runs, without its ending."""
    needs: str = "php"
    """Of `tests.support.programs`, or as `had.php` names it."""
    in_flight: int = 0
    """Batches on their way at a time; 0 is the client's own way."""
    slow: bool = False
    """So slow that one round must do."""

    @property
    def settings(self) -> dict[str, int]:
        return {"in_flight": self.in_flight} if self.in_flight else {}

    @property
    def command(self) -> list[str]:
        if self.program.endswith(".py"):
            return [sys.executable, "-m", f"tests.bench.subjects.senders.{self.program.removesuffix('.py')}"]
        if self.program.endswith(".mjs"):
            return ["node", str(PROGRAMS / self.program)]
        return [*php(), str(PROGRAMS / "run.php"), self.program]


FOUR = "PHP client, 4 batches in flight"
ONE = "PHP client, 1 batch at a time"
XLSWRITER = "php-ext-xlswriter"
PHP_XLSXWRITER = "PHP_XLSXWriter"
OURS = (
    Sender(FOUR, "client", "php-curl", in_flight=4),
    Sender(ONE, "client", "php-curl", in_flight=1),
    Sender("PHP, NDJSON in one body", "ndjson", "php-curl"),
    Sender("PHP, gRPC", "grpc", "php-protobuf"),
    Sender("JavaScript client", "with_client.mjs", "node"),
    Sender("Python client", "with_client.py", ""),
)
RIVALS = (
    Sender(XLSWRITER, "xlswriter", "xlswriter"),
    Sender(PHP_XLSXWRITER, "php_xlsxwriter", "php_xlsxwriter"),
    Sender("openspout", "openspout", "openspout"),
    Sender("PhpSpreadsheet", "phpspreadsheet", "phpspreadsheet", slow=True),
)
SENDERS = OURS + RIVALS


def php() -> list[str]:
    """PHP, with the extension if one lies where the others do."""
    extension = ["-d", f"extension={EXTENSION}"] if EXTENSION.exists() else []
    options = ("memory_limit=-1", "display_errors=stderr", f"error_reporting={COMPLAINTS}")
    return ["php", *extension, *(word for option in options for word in ("-d", option))]


def versions() -> dict[str, str]:
    """What can run here besides Python, with its version, where that is known."""
    found: dict[str, str] = {}
    if shutil.which("php"):
        said = subprocess.run([*php(), str(PROGRAMS / "had.php")], check=True, stdout=subprocess.PIPE)
        found |= json.loads(said.stdout)
    if shutil.which("node"):
        said = subprocess.run(["node", "--version"], check=True, stdout=subprocess.PIPE)
        found["node"] = said.stdout.decode().strip().removeprefix("v")
    return found


def can_run(sender: Sender, found: dict[str, str]) -> bool:
    """Whether its program and what that needs are here."""
    if sender in RIVALS:
        return sender.needs in found
    return not sender.needs or (sender.needs in found or ("php" in found and has(sender.needs)))
