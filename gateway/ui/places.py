"""Where the dashboard is, and how a browser is led to it; no page is made here, so nothing heavy is imported."""

from urllib.parse import quote

from gateway.model import RepositoryKey
from gateway.web.answers import Answer

PREFIX = "/-/ui/"
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFETY = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def redirect(location: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """See another page of ours (RFC 9110 §15.4.4); `location` is a path that we made."""
    return Answer(303, (("Location", location), ("Cache-Control", "no-store"), *SAFETY, *headers))


def repository_location(key: RepositoryKey) -> Answer:
    """Lead a browser from a repository's root to its page, where its session counts.

    The session's cookie is only for the dashboard, so that package clients' addresses never see it.
    """
    return redirect(f"{PREFIX}repositories/{quote(str(key))}")
