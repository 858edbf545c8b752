"""The function that senders call: the gRPC API or the HTTP API, each a function of its own."""

from __future__ import annotations

COMPONENT = "relay"


def main(arguments: list[str]) -> None:
    """Serve the API that ``arguments`` names, and load no other. Raises SystemExit for any other word."""
    match arguments:
        case ["grpc"]:
            from sluice.app.functions.grpc_function import run_grpc_function  # noqa: PLC0415  # one API, not both, is loaded

            run_grpc_function(COMPONENT)
        case ["http"]:
            from sluice.api.http.app import RouteSet  # noqa: PLC0415  # one API, not both, is loaded
            from sluice.app.functions.http_function import run_http_function  # noqa: PLC0415  # one API, not both, is loaded

            run_http_function(COMPONENT, RouteSet.WITHOUT_FILES)
        case _:
            raise SystemExit("usage: relay.py grpc|http")
