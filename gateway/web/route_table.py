"""Every route with the scope it needs, as rows: what docs/routes.md shows, and what a test keeps it in step with."""

from collections.abc import Iterable

from msgspec import Struct

from gateway.adapter import Adapter
from gateway.model import Scope
from gateway.web.admin import PREFIX
from gateway.web.control.call import AdminRoute
from gateway.web.paths import CAPTURE


class RouteRow(Struct, frozen=True, order=True):
    """One method at one address. scope: `-` for routes that need no right. purpose: the handler's first line."""

    address: str
    method: str
    scope: str
    purpose: str


def route_table(adapters: Iterable[Adapter], admin_routes: Iterable[AdminRoute]) -> list[RouteRow]:
    """All routes, sorted by address and method. A GET answers HEAD as well, which is not listed."""
    adapters = tuple(adapters)
    rows = [
        RouteRow(
            f"/{adapter.type}/{{owner}}/{{repository}}/{route.pattern}",
            route.method,
            _said(route.scope),
            _purpose(route.handler),
        )
        for adapter in adapters
        for route in adapter.routes
    ]
    rows += [
        RouteRow(f"/{route.pattern}", route.method, "-", _purpose(route.handler))
        for adapter in adapters
        for route in adapter.host_routes
    ]
    rows += [
        RouteRow(PREFIX + route.pattern, route.method, _said(route.scope), _purpose(route.handler))
        for route in admin_routes
    ]
    return sorted(rows)


def _said(scope: Scope | None) -> str:
    return "-" if scope is None else str(scope)


def _purpose(handler: object) -> str:
    return " ".join((handler.__doc__ or "").strip().partition("\n\n")[0].split())


OWN_ROWS = (
    RouteRow("/", "GET", "-", "To the dashboard."),
    RouteRow("/-/health", "GET", "-", "200 while the process lives."),
    RouteRow("/-/metrics", "GET", "-", "Prometheus metrics; for signed-in actors, and for loopback."),
    RouteRow("/-/ready", "GET", "-", "200 when everything can do its work, else 503 and the parts that cannot."),
    RouteRow("/-/ui/", "GET", "-", "The dashboard, as far as the visitor may see."),
)


def render_table(rows: Iterable[RouteRow]) -> str:
    """The rows as the page docs/routes.md."""
    lines = [
        f"| `{_plain(row.address)}` | {row.method} | {row.scope} | {row.purpose.replace('|', '&#124;')} |"
        for row in rows
    ]
    head = (
        "# Addresses",
        "",
        "Every route and the scope that it needs, made from the router by `python -m gateway.web.route_table`.",
        "A GET answers HEAD as well. `-`: no right on the repository is needed.",
        "",
        "| Address | Method | Scope | What it does |",
        "|---|---|---|---|",
    )
    return "\n".join((*head, *lines)) + "\n"


def _plain(address: str) -> str:
    """The address with the names of its captures only."""
    return CAPTURE.sub(lambda capture: f"{{{capture[1]}{'…' if capture[2] == '*' else ''}}}", address)


if __name__ == "__main__":
    from gateway.adapter import load_adapters
    from gateway.web.admin import ADMIN_ROUTES

    print(render_table([*OWN_ROWS, *route_table(load_adapters(), ADMIN_ROUTES)]), end="")  # noqa: T201
