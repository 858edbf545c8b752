"""All that a command prints goes through one place, which escapes what a terminal would obey."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress, TextColumn

import sluice.cli
from sluice.cli.export.progress import ProgressBar
from sluice.cli.failures import describe
from sluice.cli.formatting import Styled, json_of, lines_of, printable_lines
from sluice.client import SluiceApiError

FOLDER = Path(sluice.cli.__file__).parent
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b\r\u202e"
MAY_PRINT = {"formatting.py", "app.py"}
"""The place itself, and the one that prints a version and what ``describe`` made."""
MAY_ECHO = {"json_of", "page_of", "page_of_status", "list_remotely", "table_of"}
"""What makes texts of ``lines_of`` and ``json_of`` alone, with colours, which ``echo`` drops where there are none."""


def test_no_command_prints_past_that_place() -> None:
    past: list[str] = []
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            where = f"{path.relative_to(FOLDER)}:{node.lineno}: {ast.unparse(node)}"
            if called == "print" and path.name not in MAY_PRINT:
                past.append(where)
            if called in {"typer.echo", "typer.secho"}:
                made = {ast.unparse(one.func) for one in ast.walk(node.args[0]) if isinstance(one, ast.Call)}
                past += [] if made and made <= MAY_ECHO | {"asdict"} else [where]
            if called in {"sys.stdout.write", "sys.stderr.write"}:
                past.append(where)
    assert past == []


@given(st.text())
def test_json_is_escaped_and_still_the_same_value(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    shown = json_of({"a": [text], text: 1})
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert msgspec.json.decode(shown) == {"a": [text], text: 1}


def test_cells_of_lines_are_escaped_but_for_colours_of_ours() -> None:
    assert lines_of([("a\nb", HOSTILE), ("c", "d")])[0].startswith("a\\u000ab  \\u001b]0;owned")
    assert lines_of([(Styled("\x1b[1mok\x1b[0m"), "x")]) == ["\x1b[1mok\x1b[0m  x"]
    assert printable_lines("a\nb\r") == "a\nb\\u000d"


@pytest.mark.parametrize("code", ["INVALID_VALUE", "UNREACHABLE", HOSTILE])
def test_nothing_of_a_service_s_error_is_obeyed(code: str) -> None:
    error = SluiceApiError(code, HOSTILE, facts={HOSTILE: {HOSTILE: HOSTILE}, "rows": [HOSTILE]}, request_id=HOSTILE)
    assert all(char.isprintable() or char == "\n" for char in describe(error).text)


def test_a_pause_that_a_service_asks_for_is_shown_escaped() -> None:
    shown = io.StringIO()
    with Progress(
        TextColumn("{task.description}"),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(file=shown, width=200),
        auto_refresh=False,
    ) as progress:
        bar = ProgressBar(progress)
        bar.stage(f"sending {HOSTILE}", None)
        bar.reach(1, HOSTILE)
        bar.note(f"again in 1 s: {HOSTILE}")
        progress.refresh()
    assert "again in 1 s: \\u001b]0;owned" in shown.getvalue()
    assert [char for char in shown.getvalue() if not (char.isprintable() or char == "\n")] == []
