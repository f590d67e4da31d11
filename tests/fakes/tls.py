"""A certificate for loopback that nobody trusts by default. Its key protects nothing."""

import ssl
from pathlib import Path

CERTIFICATE = Path(__file__).parent.parent / "data" / "tls" / "loopback.crt"


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))
    return context


def client_context() -> ssl.SSLContext:
    """Trusts this certificate and no other."""
    return ssl.create_default_context(cafile=str(CERTIFICATE))
