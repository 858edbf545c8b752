"""The parameters of `sluice export`: column types, options and format, read from the command line's text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
import typer

from sluice.domain.options import ExportFormat, ExportOptions
from sluice.domain.params import ExportParams
from sluice.domain.schema import ColumnSpec, ColumnType
from sluice.tables.batch import is_text
from sluice.tables.formats import EXTENSIONS, FORMATS

GZIP = ".gz"


def make_params(
    output: Path,
    names: Sequence[str],
    *,
    types: Sequence[str],
    options: Sequence[str],
    format_name: ExportFormat | None,
    null_value: str | None = None,
) -> ExportParams:
    """Make the parameters of the export. A mistake on the command line raises ``typer.BadParameter``."""
    chosen = read_options(options)
    if null_value is not None:
        _check_text(null_value, "--null-value")
        chosen = msgspec.structs.replace(chosen, null_value=null_value)
    file_format = format_name or format_of(output)
    plain, packed = FORMATS[file_format].extensions
    if packed != plain and output.name.lower().endswith(GZIP):
        chosen = msgspec.structs.replace(chosen, compression_enabled=True)
    elif packed != plain and chosen.compression_enabled:
        raise typer.BadParameter(f"a compressed file of this format is named .{packed}", param_hint="-o")
    return ExportParams(format=file_format, filename=output.name, columns=read_types(types, names), options=chosen)


def format_of(output: Path) -> ExportFormat:
    """Derive the format from the name of the output."""
    name = output.name.lower()
    for file_format, known in FORMATS.items():
        if any(name.endswith(f".{extension}") for extension in known.extensions):
            return file_format
    *others, last = EXTENSIONS
    listed = f".{', .'.join(others)} or .{last}"
    raise typer.BadParameter(f"the name ends in {listed}, or --format says which it is", param_hint="-o")


def read_types(texts: Sequence[str], names: Sequence[str]) -> tuple[ColumnSpec, ...]:
    """Read ``name=type`` or ``name=type:format``, several with commas, or a JSON object of them."""
    given = _pairs(texts, "--types")
    for name in given.keys() - set(names):
        raise typer.BadParameter(f"the table has no column {name!r}{_near(name, names)}", param_hint="--types")
    return tuple(_column(name, given.get(name, ColumnType.STRING.value)) for name in names)


def _column(name: str, given: object) -> ColumnSpec:
    """Make a column of ``number``, ``number:0.00`` or, in JSON, an object with type, format and width."""
    fields: Any = given
    if isinstance(given, str):
        kind, _, number_format = given.partition(":")
        fields = {"type": kind.strip(), "format": number_format}
    try:
        return msgspec.convert({"name": name, **fields}, ColumnSpec)
    except (msgspec.ValidationError, TypeError):
        kinds = ", ".join(ColumnType)
        raise typer.BadParameter(f"column {name!r}: the type is one of {kinds}", param_hint="--types") from None


def read_options(texts: Sequence[str]) -> ExportOptions:
    r"""Read ``name=value``, several with commas, or a JSON object; ``\t`` in a value is a tab."""
    given = _pairs(texts, "--options")
    known = [field.name for field in msgspec.structs.fields(ExportOptions)]
    for name in given.keys() - set(known):
        raise typer.BadParameter(f"there is no option {name!r}{_near(name, known)}", param_hint="--options")
    values = {name: value.replace("\\t", "\t") if isinstance(value, str) else value for name, value in given.items()}
    try:
        return msgspec.convert(values, ExportOptions, strict=False)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(str(error).replace("`", ""), param_hint="--options") from None


def _check_text(text: str, hint: str) -> None:
    """Raise ``typer.BadParameter`` for bytes of the command line that are no text."""
    if not is_text(text):
        raise typer.BadParameter("this is no text in UTF-8", param_hint=hint)


def _pairs(texts: Sequence[str], hint: str) -> dict[str, object]:
    given: dict[str, object] = {}
    for text in texts:
        _check_text(text, hint)
        if not text.lstrip().startswith("{"):
            given |= _split(text, hint)
            continue
        try:
            given |= msgspec.json.decode(text, type=dict[str, object])
        except msgspec.MsgspecError as error:
            raise typer.BadParameter(f"this is not a JSON object: {error}", param_hint=hint) from None
    return given


def _split(text: str, hint: str) -> Mapping[str, object]:
    """Split at commas; a piece without ``=`` belongs to the one after it, so that names may hold commas."""
    given: dict[str, object] = {}
    pending = ""
    for piece in text.split(","):
        pending += piece
        name, equals, value = pending.rpartition("=") if hint == "--types" else pending.partition("=")
        if equals:
            given[name.strip()] = value
        pending = "" if equals else pending + ","
    if pending:
        raise typer.BadParameter(f"{text!r} is not name=value", param_hint=hint)
    return given


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(map(repr, known))}"
