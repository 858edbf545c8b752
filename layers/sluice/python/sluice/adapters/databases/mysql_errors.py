"""Says in words of our own what a MySQL server or the way to it refuses: a driver's text may quote values."""

from __future__ import annotations

import ssl
from types import MappingProxyType

from sluice.ports.source import SourceError, SourceTooSlow, SourceUnavailable

_GONE = "the server cannot be reached, or the connection broke off"
_TOO_SLOW = frozenset({1969, 3024})
_LATER = MappingProxyType(
    {
        1021: "it lacks disk",
        1037: "it lacks memory",
        1038: "it lacks memory to sort",
        1040: "it has no connection left for us",
        1053: "it shuts down",
        1129: "it refuses this machine after many failures",
        1205: "another session locks the table",
        1213: "a deadlock with other sessions",
        1203: "this user has no connection left",
        1226: "this user has used up what the server grants",
        1317: "the query was ended by hand",
        1412: "the table was changed while it was read",
        1927: "the connection was ended by hand",
        2002: _GONE,
        2003: _GONE,
        2006: _GONE,
        2013: _GONE,
        2055: _GONE,
        4031: "the session was idle for longer than the server allows",
    }
)
_MISTAKES = MappingProxyType(
    {
        1044: "there is no such database, or the user may not use it",
        1045: "the password is not the user's, or the user may not come from here",
        1049: "there is no such database",
        1054: "a column is not there any more",
        1130: "it lets nothing in from here",
        1142: "permission denied: grant SELECT on the table to the user",
        1143: "permission denied: grant SELECT on the columns to the user",
        1146: "the table is not there",
        1298: "it does not know the time zone of the connection",
        1370: "permission denied",
        1698: "the user may not come in with a password",
        2026: "the server offers no TLS, or not one that is trusted: set tls: off if the network is your own",
        2059: "the user is authenticated by a method that the driver does not know, or that would show the password",
        2061: "the user is authenticated by a method that needs TLS",
    }
)

_REFUSALS = MappingProxyType(
    {
        1048: "there is no value where the table needs one",
        1062: "another row has the same key",
        1136: "a row has other columns than the table",
        1264: "a number is out of the range of its column",
        1265: "a text is no value of the type of its column",
        1292: "a text is no value of the type of its column",
        1300: "a text has a character that the server cannot keep",
        1364: "there is no value where the table needs one",
        1366: "a text is no value of the type of its column, or has a character that it cannot keep",
        1367: "a text is no value of the type of its column",
        1406: "a text is longer than its column takes",
        1411: "a text is no date or time as its column takes them",
        1416: "a text is no value of the type of its column",
        1452: "it refers to a row that is not there",
        1644: "a trigger of the table refuses it",
        1690: "a number is out of the range of its column",
        1859: "another row has the same key",
        3140: "a text is no JSON",
        3819: "it breaks a rule of the table",
        4025: "it breaks a rule of the table",
    }
)


def refusal_of(number: int) -> str | None:
    """Why the server does not take a row; None where the error is not about one."""
    reason = _REFUSALS.get(number)
    return reason and f"{reason}, error {number}"


def worded_mysql(error: Exception, place: str) -> SourceError:
    """The error of the port for one of the driver or the system."""
    if isinstance(error, SourceError):
        return error
    if isinstance(getattr(error, "original_exception", error), ssl.SSLCertVerificationError):
        return SourceError(
            f"{place}: the server's certificate is not one of its name that is trusted: set tls_ca to the file of "
            "its authority, or tls: off where the network is your own"
        )
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if mistake := _MISTAKES.get(number):
        return SourceError(f"{place}: {mistake}")
    if number in _TOO_SLOW:
        return SourceTooSlow(f"{place}: it took longer than statement_timeout")
    later = _GONE if isinstance(error, OSError) else _LATER.get(number)
    if number and not later:
        return SourceError(f"{place}: the server refuses the query (error {number})")
    nonsense = f"the server does not answer as MySQL does ({type(error).__name__})"
    return SourceUnavailable(f"{place}: {later or nonsense}")
