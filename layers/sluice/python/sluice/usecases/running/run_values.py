"""The values that a run has for the names in its job: its parameters, and what is known of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from sluice.domain.job import Job, Mistake, ParameterValue
from sluice.domain.suggestion import did_you_mean
from sluice.usecases.running.schedule import window_of, zone_of

_PLACE = re.compile(r"\{([a-z_][a-z0-9_.]*)\}")


def parameters_of(job: Job, given: Mapping[str, ParameterValue]) -> tuple[dict[str, ParameterValue], list[Mistake]]:
    """The parameters of a run, and what is wrong with those that are given."""
    mistakes = [
        Mistake(f"parameters.{name}", f"is none of the job's{did_you_mean(name, job.parameters)}")
        for name in given
        if name not in job.parameters
    ]
    values: dict[str, ParameterValue] = {}
    for name, parameter in job.parameters.items():
        value = given.get(name, parameter.default)
        if value is None:
            mistakes.append(Mistake(f"parameters.{name}", f"has no default, so each run is given one: --set {name}=…"))
        elif not parameter.fits(value):
            mistakes.append(Mistake(f"parameters.{name}", f"is a {parameter.type}, and what is given is none"))
        else:
            values[name] = value
    return values, mistakes


def read_parameter(job: Job, name: str, text: str) -> ParameterValue:
    """A parameter's value as a person writes it. Raises ValueError for a text that is none of its type."""
    parameter = job.parameters.get(name)
    match parameter.type if parameter else "string":
        case "number":
            if re.fullmatch(r"-?\d+", text, re.ASCII):
                return int(text)
            if Decimal(repr(float(text))) != Decimal(text):
                raise ValueError(f"{name} has more digits than a parameter keeps")
            return float(text)
        case "boolean":
            if text not in {"true", "false"}:
                raise ValueError(f"{name} is true or false")
            return text == "true"
        case _:
            return text


def values_of(
    job: Job, parameters: Mapping[str, ParameterValue], *, tick: datetime | None, now: datetime, zone: tzinfo
) -> dict[str, ParameterValue]:
    """All values by name. Times of the run are as ``zone`` has them, without its offset.

    A run without a tick has no window. Raises ``ScheduleError`` for a tick that the job's schedule has not.
    """
    at = tick or now
    days = zone_of(job.schedule) if job.schedule else UTC
    values: dict[str, ParameterValue] = {
        **parameters,
        "run.job": job.job,
        "run.date": at.astimezone(days).date().isoformat(),
        "run.time": _written(at, zone),
    }
    if tick is not None and job.schedule is not None:
        start, end = window_of(job.schedule, tick)
        values |= {"run.window_start": _written(start, zone), "run.window_end": _written(end, zone)}
    return values


def _written(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")


def filled(text: str, values: Mapping[str, ParameterValue], place: str, mistakes: list[Mistake]) -> str:
    """A text with ``{name}`` replaced by the values; a name that is none goes to ``mistakes``."""

    def value_of(found: re.Match[str]) -> str:
        if found[1] not in values:
            mistakes.append(Mistake(place, f"{{{found[1]}}} is no value of a run{did_you_mean(found[1], values)}"))
            return found[0]
        return str(values[found[1]])

    return _PLACE.sub(value_of, text)
