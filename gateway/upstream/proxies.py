"""Which proxy the environment names for an address (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`). Pure.

We read the environment ourselves, since aiohttp's `trust_env` would also send what `.netrc` holds to any host.
"""

from collections.abc import Mapping
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # public, but not in typeshed

from yarl import URL


class Proxies:
    """The proxies of one environment; lower-case names win, as in curl."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read the variables once."""
        every = _variable(environ, "all_proxy")
        self._by_scheme = {
            scheme: URL(text if "://" in text else f"http://{text}")
            for scheme in ("http", "https")
            if (text := _variable(environ, f"{scheme}_proxy") or every)
        }
        self._bypass = {"no": _variable(environ, "no_proxy")}

    def find(self, url: URL) -> URL | None:
        """The proxy for this address, or None to go straight."""
        proxy = self._by_scheme.get(url.scheme)
        if proxy is None or proxy_bypass_environment(f"{url.host}:{url.port}", self._bypass):
            return None
        return proxy


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""
