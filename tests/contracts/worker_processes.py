"""Starts processes that use one store at once, and ends them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

_WORKER = Path(__file__).with_name("store_worker.py")


@contextmanager
def working(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a worker from its ``ready`` on; killed without warning at the end of the block."""
    command = [sys.executable, str(_WORKER), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def race(workers: Sequence[Sequence[str]]) -> list[str]:
    """Run workers that begin together once all are ready; what each said."""
    with ExitStack() as stack:
        processes = [stack.enter_context(working(*arguments)) for arguments in workers]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [_last_words(process) for process in processes]


def _last_words(process: subprocess.Popen[str]) -> str:
    words, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return words.strip()
