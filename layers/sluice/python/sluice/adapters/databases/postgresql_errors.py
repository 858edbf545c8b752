"""Says in words of our own what a PostgreSQL server or the way to it refuses: a driver's text may quote values."""

from __future__ import annotations

import ssl
from types import MappingProxyType

from sluice.ports.source import SourceError, SourceTooSlow, SourceUnavailable

_TOO_SLOW = "57014"
_LATER = MappingProxyType(
    {
        "53300": "it has no connection left for us",
        "55P03": "another session locks the table",
        "57P01": "an administrator ended the connection, or shuts the server down",
        "57P03": "it is starting or shutting down",
        "40P01": "a deadlock with other sessions",
        "40001": "a standby ended the query in favour of changes that it replays",
        "25P03": "the session was idle for longer than the server allows",
        "57P05": "the session was idle for longer than the server allows",
    }
)
_LATER_CLASSES = MappingProxyType(
    {"08": "the connection broke off", "53": "it lacks memory or disk", "57": "it ended the query", "58": "its system"}
)
_MISTAKES = MappingProxyType(
    {
        "22023": "it does not know a setting, such as the time zone of the connection",
        "28000": "it does not let this user in from here (pg_hba.conf)",
        "28P01": "the password is not the user's",
        "3D000": "there is no such database",
        "42501": "permission denied: grant SELECT on the table, and USAGE on its schema, to the user",
        "42703": "a column is not there any more",
        "42883": "a column's type has no order or equality to compare it by",
        "42P01": "the table is not there any more",
    }
)

_REFUSALS = MappingProxyType(
    {
        "21000": "two of the rows have the same key",
        "22001": "a text is longer than its column takes",
        "22003": "a number is out of the range of its column",
        "22007": "a text is no date or time as its column takes them",
        "22008": "a date or time is out of the range of its column",
        "22021": "a text has a character that the server cannot keep",
        "22P02": "a text is no value of the type of its column",
        "22P04": "a row has other columns than the table",
        "23502": "there is no value where the table needs one",
        "23503": "it refers to a row that is not there",
        "23505": "another row has the same key",
        "23514": "it breaks a rule of the table",
        "23P01": "it is in conflict with another row",
        "P0001": "a trigger of the table refuses it",
    }
)
_REFUSAL_CLASSES = MappingProxyType({"22": "a value is none of its column", "23": "it breaks a rule of the table"})


def refusal_of(state: str) -> str | None:
    """Why the server does not take a row; None where the SQLSTATE is not about one."""
    reason = _REFUSALS.get(state) or _REFUSAL_CLASSES.get(state[:2])
    return reason and f"{reason}, SQLSTATE {state}"


def worded(error: Exception, place: str) -> SourceError:
    """The error of the port for one of the driver, the system or our own time-outs."""
    state = getattr(error, "sqlstate", None)
    if isinstance(error, SourceError):
        return error
    if isinstance(state, str):
        return _of_state(state, place)
    if mistake := _mistake_about_tls(error):
        return SourceError(f"{place}: {mistake}")
    if isinstance(error, TimeoutError):
        return SourceUnavailable(f"{place}: the server does not answer in time")
    if isinstance(error, OSError) or type(error).__name__ == "InterfaceError":  # the driver's for a closed connection
        return SourceUnavailable(f"{place}: the server cannot be reached, or the connection broke off")
    return SourceUnavailable(f"{place}: the server does not answer as PostgreSQL does ({type(error).__name__})")


def _mistake_about_tls(error: Exception) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            "the server's certificate is not one of its name that is trusted: set tls_ca to the file of its "
            "authority, or tls: off where the network is your own"
        )
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        return "the server offers no TLS: set tls: off if the network is your own"
    return None


def _of_state(state: str, place: str) -> SourceError:
    if state == _TOO_SLOW:
        return SourceTooSlow(f"{place}: it took longer than statement_timeout, or was ended by hand")
    if later := _LATER.get(state) or _LATER_CLASSES.get(state[:2]):
        return SourceUnavailable(f"{place}: {later}")
    said = _MISTAKES.get(state, "the server refuses the query")
    return SourceError(f"{place}: {said} (SQLSTATE {state})")
