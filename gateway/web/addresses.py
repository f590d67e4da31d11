"""Under which address a request reached us: from where, by which host name, and whose host name that is."""

from aiohttp import web

from gateway.model import Repository
from gateway.services import Services
from gateway.web.forwarded import Client, TrustedProxies


class Addresses:
    """The host names that are ours: `public_url`, one for each type, and those of repositories."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._proxies = TrustedProxies(services.config.server.trusted_proxies)
        self._hosts: dict[str, Repository] = {}
        self._hosts_of: object = None

    def client(self, request: web.BaseRequest) -> Client:
        """Who asks, and for which host; trusted proxies are believed."""
        return self._proxies.read(request.headers, request.remote or "", request.scheme)

    def root(self, client: Client) -> str:
        """Our external address for this request, ending in a slash.

        `public_url` speaks for its own host and for requests without one; other host names that reach us (a domain per
        type, a repository's own host) speak for themselves.
        """
        server = self._services.config.server
        if server.public_url and not self._is_special(client.host):
            return server.public_url.rstrip("/") + "/"
        return f"{client.scheme}://{client.host or f'{server.host}:{server.port}'}/"

    def label(self, host: str) -> str | None:
        """What stands before `.<base_domain>`, a type or alias if we know it; None for other hosts."""
        domain = self._services.config.server.base_domain
        name = host.partition(":")[0]
        return name.removesuffix(f".{domain}") if domain and name.endswith(f".{domain}") else None

    def repository(self, host: str) -> Repository | None:
        """The repository that is mounted at the root of this host name, `host:port` or `:port`."""
        known = self._services.known()
        if known is not self._hosts_of:
            self._hosts = {name.lower(): r for r in known.values() for name in r.hosts}
            self._hosts_of = known
        if not self._hosts:
            return None
        name, _, port = host.lower().rpartition(":")
        return self._hosts.get(host.lower()) or self._hosts.get(name) or (self._hosts.get(f":{port}") if name else None)

    def _is_special(self, host: str) -> bool:
        return bool(host) and (self.label(host) is not None or self.repository(host) is not None)
