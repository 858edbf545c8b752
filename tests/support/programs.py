"""Programs of the system that some tests run, the packages they come in, and what did not run for want of them.

python -m tests.support.programs --install    # where that is possible: as root, with apt-get
python -m tests.support.programs --install --all    # also what `make more-languages` runs
python -m tests.support.programs --left-out   # the last line of `make test`
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

PACKAGES = {
    "php": "php-cli",
    "php-curl": "php-curl",
    "php-sqlite": "php-sqlite3",
    "php-mysql": "php-mysql",
    "php-protobuf": "php-google-protobuf",
    "phpunit": "phpunit",
    "php-laravel": "php-laravel-framework",
    "php-symfony": "php-symfony-framework-bundle",
    "php-messenger": "php-symfony-messenger",
    "php-console": "php-symfony-console",
    "protoc": "protobuf-compiler",
    "soffice": "libreoffice-calc-nogui",
    "postgres": "postgresql",
    "mariadbd": "mariadb-server",
    "nginx": "nginx-light",
    "iconv": "libc-bin",
    "gunzip": "gzip",
    "unzip": "unzip",
    "openssl": "openssl",
    "chromium": "chromium",
    "node": "nodejs",
    "javac": "default-jdk-headless",
    "go": "golang-go",
}
"""The Debian package of each program."""
TOOLCHAINS = {"javac", "go"}
"""Large ones, of tests that `make test` leaves out."""
LEFT_OUT = Path(__file__).parents[2] / "build/tests-left-out"
"""A package for each test that was skipped, of all runs of `make test`."""
_PLACES = {
    "postgres": "usr/lib/postgresql",
    "php-curl": "usr/lib/php/*/curl.so",
    "php-sqlite": "usr/lib/php/*/pdo_sqlite.so",
    "php-mysql": "usr/lib/php/*/mysqli.so",
    "php-protobuf": "usr/share/php/Google/Protobuf",
    "php-laravel": "usr/share/php/Illuminate/Foundation",
    "php-symfony": "usr/share/php/Symfony/Bundle/FrameworkBundle",
    "php-messenger": "usr/share/php/Symfony/Component/Messenger",
    "php-console": "usr/share/php/Symfony/Component/Console",
}
"""Where programs and extensions are that are not on the path."""
_REASON = re.compile(r"there is no `[a-z-]+` here \(Debian's package ([a-z0-9-]+)\)")


def has(program: str) -> bool:
    return shutil.which(program) is not None or (program in _PLACES and any(Path("/").glob(_PLACES[program])))


def why_not(program: str) -> str:
    """The reason of a test that is skipped for want of ``program``."""
    return f"there is no `{program}` here (Debian's package {PACKAGES[program]})"


def skip_without(program: str) -> None:
    """Skip the test that needs ``program``."""
    if not has(program):
        pytest.skip(why_not(program))


def note_left_out(reasons: Iterable[str]) -> None:
    """Remember the tests of one run that were skipped for want of a program."""
    packages = [found[1] for reason in reasons if (found := _REASON.search(reason))]
    if packages:
        LEFT_OUT.parent.mkdir(parents=True, exist_ok=True)
        with LEFT_OUT.open("a") as file:
            file.writelines(f"{package}\n" for package in packages)


def install(*, toolchains: bool) -> None:
    """Install what is missing where that is possible, ``TOOLCHAINS`` if they are asked for.

    What cannot be installed is left out, and said at the end.
    """
    LEFT_OUT.unlink(missing_ok=True)
    wanted = [program for program in PACKAGES if toolchains or program not in TOOLCHAINS]
    missing = sorted({PACKAGES[program] for program in wanted if not has(program)})
    if not missing or os.getuid() != 0 or shutil.which("apt-get") is None:
        return
    print(f"Installing {', '.join(missing)}, which some tests run.", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["-y", "--no-install-recommends", "install", *missing]):
        try:
            subprocess.run(["apt-get", "-qq", *command], env=environment, capture_output=True, check=True, timeout=600)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"That failed ({error}); the tests that need them are left out.")
            return


def left_out_line(packages: Iterable[str]) -> str:
    """What to say of the tests that did not run; empty when all did."""
    found = list(packages)
    if not found:
        return ""
    return f"{len(found)} tests did not run. This changes that: apt-get install {' '.join(sorted(set(found)))}"


if __name__ == "__main__":
    if "--install" in sys.argv:
        install(toolchains="--all" in sys.argv)
    elif line := left_out_line(LEFT_OUT.read_text().split() if LEFT_OUT.exists() else []):
        print(line)
