"""Reads a folder of definitions: ``connections/*.yaml`` and ``datasets/*.yaml``, one in each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from sluice.adapters.sources.sqlite import SqliteSource
from sluice.app.settings.source import did_you_mean
from sluice.app.settings.yaml_tree import read_yaml
from sluice.domain.dataset import Connection, Dataset, DefinitionsError
from sluice.ports.source import Source

Kind = TypeVar("Kind", bound=msgspec.Struct)


class Definitions(NamedTuple):
    """What a folder defines, by name."""

    folder: Path
    connections: Mapping[str, Connection]
    datasets: Mapping[str, Dataset]

    def find(self, name: str) -> Dataset:
        """Raises ``DefinitionsError`` for a name that no dataset has."""
        if name not in self.datasets:
            near = did_you_mean(name, self.datasets)
            raise DefinitionsError([f"{self.folder / 'datasets'}: there is no dataset {name!r}{near}"])
        return self.datasets[name]

    def source_of(self, dataset: Dataset) -> Source:
        """The table that the dataset reads; nothing is opened yet."""
        connection = self.connections[dataset.source.connection]
        return SqliteSource(self.folder / connection.path, dataset.source, [column.name for column in dataset.columns])


def load_definitions(folder: Path) -> Definitions:
    """Read the folder. Raises ``DefinitionsError`` with every mistake in it."""
    problems: list[str] = []
    if not folder.is_dir():
        raise DefinitionsError([f"there is no folder {folder}"])
    connections = _read_all(folder / "connections", Connection, "name", problems)
    datasets = _read_all(folder / "datasets", Dataset, "dataset", problems)
    for name, dataset in datasets.items():
        problems += [f"datasets/{name}: {problem}" for problem in _mistakes(dataset, connections)]
    if problems:
        raise DefinitionsError(problems)
    return Definitions(folder, connections, datasets)


def _read_all(folder: Path, kind: type[Kind], name_field: str, problems: list[str]) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        place = f"{folder.name}/{path.name}"
        tree = read_yaml(path, place, problems)
        if tree is None:
            continue
        try:
            one = msgspec.convert(tree, kind)
        except msgspec.ValidationError as error:
            problems.append(f"{place}: {_worded(error)}")
            continue
        name = getattr(one, name_field)
        if name in found:
            problems.append(f"{place}: {name} is defined in another file too")
        elif name != path.stem:
            problems.append(f"{place}: defines {name}; the file of that is {name}.yaml")
        found[name] = one
    return found


def _worded(error: msgspec.ValidationError) -> str:
    """The mistake, behind the place that it is at."""
    text, _, place = str(error).partition(" - at ")
    return f"{place.strip('`').removeprefix('$.')}: {text}" if place.strip("`") not in {"", "$"} else text


def _mistakes(dataset: Dataset, connections: Mapping[str, Any]) -> list[str]:
    found = []
    if dataset.source.connection not in connections:
        near = did_you_mean(dataset.source.connection, connections)
        found.append(f"source.connection: there is no connection {dataset.source.connection!r}{near}")
    names = [column.name for column in dataset.columns]
    labels = [column.spec().name for column in dataset.columns]
    found += [f"columns: {name} is given twice" for name in _twice(names)]
    found += [f"columns: two have the header {label!r}" for label in _twice(labels) if label not in _twice(names)]
    found += [f"source.key: {name} is given twice" for name in _twice(dataset.source.key)]
    return found


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]
