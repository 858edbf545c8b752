"""PHP scripts on the real interpreter, and what pages of PHP packages show."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support import page_examples
from tests.support.programs import skip_without

ROOT = Path(__file__).parents[2]


def examples(page: Path) -> dict[str, str]:
    """The PHP of a page that is marked as tested, by name."""
    return page_examples.examples(page, "php")


def run_php(code: str, folder: Path, url: str, *, seconds: int = 120) -> str:
    """What the script prints, run in ``folder``; it must end well and complain of nothing."""
    script = folder / "script.php"
    script.write_text(code, encoding="utf-8")
    command = ["php", "-d", "memory_limit=64M", "-d", "display_errors=stderr", "-d", "error_reporting=-1", str(script)]
    environment = {"SLUICE_URL": url, "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    return done.stdout


def phpunit(package: Path, *needed: str) -> int:
    """How many tests of a package ran; all of them must pass. Skips the caller's test without one of the programs."""
    for program in ("php", *needed, "phpunit"):
        skip_without(program)
    command = ["phpunit", "-c", str(package)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    found = re.search(r"OK \((\d+) tests", done.stdout)
    assert found, done.stdout
    return int(found[1])
