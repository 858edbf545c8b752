"""Which route of the custom domain answers a request."""

from __future__ import annotations

from collections.abc import Iterable

from infra.emulators.function_compute.deployment import Route


def find_route(routes: Iterable[Route], *, method: str, path: str) -> Route | None:
    """The route that fits best: an exact path before a ``/*`` one, a longer one before a shorter one."""
    fitting = [route for route in routes if _fits(route, method, path)]
    return max(fitting, key=lambda route: (not route.path.endswith("*"), len(route.path)), default=None)


def _fits(route: Route, method: str, path: str) -> bool:
    if route.methods and method not in route.methods:
        return False
    if route.path.endswith("*"):
        return path.startswith(route.path[:-1]) or path == route.path[:-2]
    return path == route.path
