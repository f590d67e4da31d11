"""Whom we trust over TLS: the system's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR.

Reading them takes a twentieth of a second. aiohttp does so twice, when it is imported; the program's entry point
imports it without any (`gateway.__main__`), and whoever needs them loads them here.
"""

import asyncio
import ssl


async def load() -> ssl.SSLContext:
    """A context that verifies names and chains; read in a thread."""
    return await asyncio.to_thread(_load)


def _load() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
