"""A worker program that does what its bell's task id says, for tests of the pool.

Speaks the protocol of `sluice.app.compose_worker`: a bell a line in, log lines and an outcome out.
The digest of the bell is the script: `ok`, `die`, or `wait:PATH` (until the file exists).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    for line in sys.stdin:
        trigger = json.loads(line)
        say({"event": "AttemptStarted", "task_id": trigger["task_id"]})
        act(trigger["sha"])
        say({"outcome": "completed"})


def act(script: str) -> None:
    if script == "die":
        os._exit(9)
    if script.startswith("wait:"):
        gate = Path(script.removeprefix("wait:"))
        while not gate.exists():
            time.sleep(0.01)


def say(word: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
