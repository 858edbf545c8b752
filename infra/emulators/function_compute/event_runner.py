"""Runs one event through a handler, in a process of its own, as a built-in Python runtime does.

Started by ``event_function`` with the Python and the modules of the function and
nothing of ours, so it imports the standard library only. Reads a line of JSON
that describes the call and then the event; writes what came of it to the file
descriptor that its argument names. What the function prints stays where it is.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def main() -> None:
    """Read the call, run it, write the answer."""
    call = json.loads(sys.stdin.buffer.readline())
    event = sys.stdin.buffer.read()
    started = time.monotonic()
    try:
        module_name, _, function_name = call["handler"].rpartition(".")
        handler = getattr(importlib.import_module(module_name.replace("/", ".")), function_name)
        loaded = {"import_s": time.monotonic() - started, "import_peak_bytes": _peak_bytes()}
        answer = {"ok": True, "payload": _as_text(handler(event, _context(call))), **loaded}
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises is the function's error
        traceback.print_exc()
        answer = {"ok": False, "error_type": type(error).__name__, "message": str(error)}
    answer["peak_bytes"] = _peak_bytes()
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as out:
        json.dump(answer, out)


def _context(call: dict[str, Any]) -> SimpleNamespace:
    """The context of python3.12; with credentials, that of python3.10."""
    context = SimpleNamespace(
        request_id=call["request_id"],
        function=SimpleNamespace(**call["function"]),
        region=call["region"],
        account_id=call["account_id"],
        logger=logging.getLogger(),
        log_project="",
        log_store="",
        retry_count=call["retry_count"],
    )
    if call["credentials"]:
        context.credentials = SimpleNamespace(**call["credentials"])
    return context


def _as_text(result: object) -> str:
    if isinstance(result, bytes):
        return result.decode("utf-8", "replace")
    return result if isinstance(result, str) else json.dumps(result)


def _peak_bytes() -> int:
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
