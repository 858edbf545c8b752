"""A worker program that does what its task's manifest says, for tests of the pool.

Speaks the protocol of `sluice.app.compose_worker`: settings and then a trigger a line in, signs of life, log lines and
an outcome out. The digest of the trigger is the script: `ok`, `die`, `quiet` (without standard error from then on),
`wait:PATH` (until the file exists, with signs of life) or `hang` (without). The settings `{"die": PATH}` have it die as
it starts while the file exists.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    if Path(settings.get("die", "/nowhere")).exists():
        raise SystemExit("there is no such thing")
    say({})
    for line in sys.stdin:
        trigger = json.loads(line)
        say({"event": "AttemptStarted", "task_id": trigger["task_id"], "fields": {"epoch": 1}})
        act(trigger["sha"] or trigger["task_id"])  # what is to be read has no digest yet
        say({"outcome": "completed"})


def act(script: str) -> None:
    if script == "die":
        sys.stderr.write("these are\nmy last words\n")
        sys.stderr.flush()
        os._exit(9)
    if script == "quiet":
        os.close(2)
    if script == "hang":
        os.kill(os.getpid(), signal.SIGSTOP)
    if script.startswith("wait:"):
        gate = Path(script.removeprefix("wait:"))
        while not gate.exists():
            say({})
            time.sleep(0.01)


def say(word: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
