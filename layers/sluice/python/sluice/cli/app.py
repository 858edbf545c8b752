"""The `sluice` command: finds the command that is asked for, and turns what it raises into an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from sluice import __version__
from sluice.cli.standard_files import open_closed

INTERRUPTED = 130
"""What shells expect of a program that Ctrl-C ended."""

HELP = """A table of any size becomes an Excel, CSV or other file behind a link.

Examples:
  sluice export rows.csv -o orders.xlsx --types id=number,paid=boolean
  sluice serve --data /var/lib/sluice
  sluice task show TASK --data /var/lib/sluice

Exit codes: 0 done; 1 it failed, with the reason on standard error; 2 wrong usage.
"""


_WRONG_USAGE: Any = typer.BadParameter.__base__
"""What typer raises for any of it; of which package that is depends on its release."""


class Place(NamedTuple):
    """Where a command is, so that only the one that runs is imported."""

    module: str
    name: str
    """A function, or a ``Typer`` of several commands."""
    summary: str


COMMANDS = {
    "demo": Place("sluice.cli.demo", "demo", "Run the whole service once and check the files it makes."),
    "serve": Place("sluice.cli.serve", "serve", "Run the service over one directory."),
    "export": Place("sluice.cli.export.command", "export_file", "Turn rows (CSV, NDJSON) into a file."),
    "pull": Place("sluice.cli.export.pull", "pull", "Make a file of a table that is defined."),
    "dataset": Place("sluice.cli.dataset_commands", "commands", "See which tables may become files."),
    "job": Place("sluice.cli.job.commands", "commands", "Read, change and deliver rows by jobs."),
    "run": Place("sluice.cli.run_commands", "commands", "See the runs of jobs, and end them."),
    "task": Place("sluice.cli.task.commands", "commands", "See where exports are, and repair them."),
    "audit": Place("sluice.cli.audit", "audit", "See who asked for rows of which dataset."),
    "keys": Place("sluice.cli.key_commands", "commands", "Make, list and revoke API keys."),
    "backup": Place("sluice.cli.backup", "backup", "Copy what a service on one machine has, while it serves."),
    "restore": Place("sluice.cli.backup", "restore", "Put a backup where a new service finds it."),
    "tables": Place("sluice.cli.table_commands", "commands", "Make and check the tables of a service in the cloud."),
    "explain": Place("sluice.cli.explain", "explain", "Say what an error code means and who must act."),
    "bench": Place("sluice.cli.bench", "bench", "Measure this machine at composing files."),
}


@contextmanager
def _printable_complaints() -> Iterator[None]:
    """Escape what complaints about a command line quote: names of files and of their columns are from elsewhere."""
    try:
        yield
    except _WRONG_USAGE as error:
        from sluice.cli.formatting import printable_lines  # noqa: PLC0415  # only who fails pays for the import

        error.message = printable_lines(error.message)
        raise


class LazyGroup(TyperGroup):
    """Lists its commands from the table above and imports one when it is called."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        with _printable_complaints():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        with _printable_complaints():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


def load_command(name: str) -> Any:
    """Import a command."""
    place = COMMANDS[name]
    found = getattr(import_module(place.module), place.name)
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False, rich_markup_mode=None)
        found.command(name)(function)
    command = typer.main.get_command(found)
    for one in (command, *getattr(command, "commands", {}).values()):
        one.help = keep_layout(one.help or "")
    return command


def keep_layout(text: str) -> str:
    """Mark paragraphs with indented lines, which are examples, so that they are not filled."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"\b\n{one}" if "\n  " in one else one for one in paragraphs)


def build_app() -> typer.Typer:
    """List the commands by name and summary alone."""
    app = typer.Typer(
        cls=LazyGroup,
        help=keep_layout(HELP),
        no_args_is_help=True,
        rich_markup_mode=None,  # plain text: the same in a pipe, and nothing to import
        pretty_exceptions_enable=False,  # they show local variables, which may hold rows and secrets
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options_of_all)
    for name, place in COMMANDS.items():
        app.command(name, short_help=place.summary)(_listed)
    return app


def _version(on: bool) -> None:
    if on:
        print(f"sluice {__version__}")
        raise typer.Exit


def options_of_all(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version),
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show how a bug came about.")] = False,
) -> None:
    """Stand before every command."""


def _listed() -> None:
    """Stand for a command in the list."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command line and exit: 0 done, 1 failed, 2 wrong usage."""
    open_closed()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)
    try:
        try:
            build_app()(sys.argv[1:] if arguments is None else arguments, prog_name="sluice")
        finally:
            sys.stdout.flush()  # so that a full disk is an error of the command and not a note at exit
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        from sluice.cli.failures import describe  # noqa: PLC0415  # only who fails pays for the import

        if "--traceback" in sys.argv:
            raise
        failure = describe(error)
        if failure.text:
            print(failure.text, file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # what cannot be written would fail once more at exit, and change the exit code
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(failure.exit_code)


def _leave(number: int, _: FrameType | None) -> None:
    """End as an exception would, so that temporary files are removed."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
