"""Plan the outputs of a run: which columns each has, and as what it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sluice.domain.errors import SluiceError
from sluice.domain.filenames import sanitise_filename
from sluice.domain.job import Job, JobOutput, Mistake, OutputFile, ParameterValue, seconds_of
from sluice.domain.params import ExportParams
from sluice.domain.run import Output
from sluice.domain.schema import ColumnSpec
from sluice.domain.suggestion import did_you_mean
from sluice.ports.bundle import Ports
from sluice.tables.formats import EXTENSIONS, FORMATS
from sluice.usecases.running.run_values import filled
from sluice.usecases.sending.open_export import check_params


def plan_outputs(
    ports: Ports,
    job: Job,
    columns: Sequence[ColumnSpec],
    values: Mapping[str, ParameterValue],
    mistakes: list[Mistake],
) -> list[Output]:
    """What each output is made as; what is wrong with them goes to ``mistakes``."""
    made = []
    for index, output in enumerate(job.outputs):
        place = f"outputs[{index}]"
        picked = _picked(output, columns, place, mistakes)
        if isinstance(output, OutputFile):
            made.append(_file(ports, job, output, values, picked, [columns[one] for one in picked], place, mistakes))
        else:
            names = {columns[one].name for one in picked}
            mistakes += [
                Mistake(f"{place}.key", f"the output has no {name}{did_you_mean(name, names)}")
                for name in output.key
                if name not in names
            ]
            made.append(Output(name=output.name, picked=_kept(picked, columns), target=output.target()))
    files = [_file_name(ports, one) for one in made]
    mistakes += [
        Mistake(f"outputs[{index}].filename", f"another output has the file {name} too")
        for index, name in enumerate(files)
        if name and name.casefold() in [one.casefold() for one in files[:index]]
    ]
    return made


def _file_name(ports: Ports, output: Output) -> str:
    """Of its file; empty for a table, and for what is refused elsewhere."""
    if output.target is not None:
        return ""
    extension = FORMATS[output.format].extension(output.options, 0)
    return sanitise_filename(
        output.filename or output.name, extension=extension, replaced=EXTENSIONS, limits=ports.limits
    )


def _file(
    ports: Ports,
    job: Job,
    output: OutputFile,
    values: Mapping[str, ParameterValue],
    picked: Sequence[int],
    columns: Sequence[ColumnSpec],
    place: str,
    mistakes: list[Mistake],
) -> Output:
    del job
    filename = filled(output.filename, values, f"{place}.filename", mistakes)
    made = Output(
        name=output.name,
        picked=tuple(picked),
        format=output.format,
        filename=filename,
        options=output.options,
        kept_s=seconds_of(output.expires) if output.expires else 0,
    )
    params = ExportParams(
        format=output.format, filename=filename or output.name, columns=tuple(columns), options=output.options
    )
    try:
        check_params(params, ports.limits)
    except SluiceError as error:
        mistakes.append(Mistake(f"{place}.{error.facts.get('field', 'format')}", error.said))
    return made


def _picked(output: JobOutput, columns: Sequence[ColumnSpec], place: str, mistakes: list[Mistake]) -> list[int]:
    """The indexes of the columns that an output has."""
    indexes = {column.name: index for index, column in enumerate(columns)}
    for field, names in (("columns", output.columns), ("drop", output.drop)):
        mistakes += [
            Mistake(f"{place}.{field}[{index}]", f"the rows have no {name}{did_you_mean(name, indexes)}")
            for index, name in enumerate(names)
            if name not in indexes
        ]
    chosen = [indexes[name] for name in output.columns if name in indexes] or list(indexes.values())
    kept = [index for index in chosen if columns[index].name not in output.drop]
    if not kept:
        mistakes.append(Mistake(f"{place}.drop", "leaves no column"))
    return kept


def _kept(picked: Sequence[int], columns: Sequence[ColumnSpec]) -> tuple[int, ...]:
    """None where they are all, in their order."""
    return () if list(picked) == list(range(len(columns))) else tuple(picked)
