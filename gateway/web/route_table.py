"""Every route with the scope it needs, as rows: what docs/routes.md shows, and what a test keeps it in step with."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.adapter import Adapter
from gateway.model import Scope
from gateway.web.admin import PREFIX
from gateway.web.control.call import AdminRoute


@dataclass(frozen=True, slots=True, order=True)
class RouteRow:
    """One method at one address. scope: `-` for routes that need no right. purpose: the handler's first line."""

    address: str
    method: str
    scope: str
    purpose: str


def route_table(adapters: Iterable[Adapter], admin_routes: Iterable[AdminRoute]) -> list[RouteRow]:
    """All routes, sorted by address and method. A GET answers HEAD as well, which is not listed."""
    rows = [
        RouteRow(prefix + route.pattern, route.method, _said(route.scope), _purpose(route.handler))
        for adapter in adapters
        for prefix, routes in (
            (f"/{adapter.type}/{{owner}}/{{repository}}/", adapter.routes),
            ("/", adapter.root_routes),
        )
        for route in routes
    ]
    rows += [
        RouteRow(PREFIX + route.pattern, route.method, _said(route.scope), _purpose(route.handler))
        for route in admin_routes
    ]
    return sorted(rows)


def _said(scope: Scope | None) -> str:
    return "-" if scope is None else str(scope)


def _purpose(handler: object) -> str:
    return (handler.__doc__ or "").strip().partition("\n")[0]
