"""What happens now: traffic and latency, and how the upstreams are."""

import asyncio
import time

from msgspec import Struct

from gateway.layers import flatten
from gateway.store.rows import DocumentsSummary, TrafficRow
from gateway.ui.call import UiCall
from gateway.ui.figures import summarise
from gateway.upstream.hosts import UpstreamHealth
from gateway.web.answers import Answer
from gateway.web.tally import GATEWAY_TYPE

_WINDOWS = {"1": 1, "6": 6, "24": 24}  # hours, as asked for in the query
_MOST_REPOSITORIES = 20


async def overview(call: UiCall) -> Answer:
    """Traffic of the last hours, by type and repository, of what the actor may read."""
    hours = _WINDOWS.get(call.query.get("hours", ""), 1)
    since = int(time.time() // 60) - hours * 60 + 1
    rows = await call.ui.traffic.window(since)
    shown = _visible(call, rows)
    seen = await asyncio.to_thread(summarise, shown, since, hours * 60)
    return call.page(
        "overview.html",
        hours=hours,
        windows=list(_WINDOWS.values()),
        total=seen.total,
        types=seen.types,
        repositories=seen.repositories[:_MOST_REPOSITORIES],
        titles={type_: adapter.title for type_, adapter in call.ui.adapters.items()} | {GATEWAY_TYPE: "Own pages"},
    )


def _visible(call: UiCall, rows: list[TrafficRow]) -> list[TrafficRow]:
    """The rows of repositories that the actor may read; the gateway's own pages only for administrators."""
    readable = {str(repository.key) for repository in call.repositories()}
    if call.accounts.is_admin:
        readable.add("")
        return [row for row in rows if row.repository in readable or row.type == GATEWAY_TYPE]
    return [row for row in rows if row.repository in readable]


class UpstreamLine(Struct, frozen=True):
    """One upstream: where it is, what is kept of it, and the hosts that this worker asked."""

    name: str
    type: str
    url: str
    documents: DocumentsSummary | None
    hosts: list[UpstreamHealth]


async def upstreams(call: UiCall) -> Answer:
    """Health and age of what is kept, for the upstreams behind repositories that the actor may read."""
    call.require_person()
    services = call.services
    used = {
        layer.upstream.name
        for repository in call.repositories()
        for layer in flatten(services, repository)
        if layer.upstream is not None
    }
    kept = {summary.upstream: summary for summary in await services.document_rows.summary()}
    health = services.client.health()
    lines = [
        UpstreamLine(
            name,
            upstream.type,
            upstream.url,
            kept.get(name),
            [host for host in health if host.name == name],
        )
        for name, upstream in sorted(services.upstreams.items())
        if name in used
    ]
    return call.page("upstreams.html", lines=lines)
