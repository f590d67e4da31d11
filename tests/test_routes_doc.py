"""The scope of every route is written down, and the page is the router's own."""

from pathlib import Path

from gateway.adapter import load_adapters
from gateway.model import Scope
from gateway.web.admin import ADMIN_ROUTES
from gateway.web.route_table import OWN_ROWS, render_table, route_table

PAGE = Path(__file__).parent.parent / "docs" / "routes.md"
ROWS = route_table(load_adapters(), ADMIN_ROUTES)


def test_the_page_of_addresses_is_what_the_router_says() -> None:
    assert PAGE.read_text() == render_table([*OWN_ROWS, *ROWS]), (
        "make it anew: python -m gateway.web.route_table > docs/routes.md"
    )


def test_every_route_says_what_it_does_and_what_it_needs() -> None:
    assert [row for row in ROWS if not row.purpose] == []
    assert {row.scope for row in ROWS} <= {"-", *map(str, Scope)}


def test_no_route_that_changes_a_package_is_open_to_readers() -> None:
    free = {
        (row.method, row.address)
        for row in ROWS
        if row.method in {"PUT", "POST", "DELETE", "PATCH"} and row.scope in {"-", "read:packages"}
    }

    changing = {(m, a) for m, a in free if a.startswith(("/pypi/", "/maven/"))}
    assert changing == set()
