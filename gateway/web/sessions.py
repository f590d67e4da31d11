"""The dashboard's session cookie, and the proof that a change was asked for by our own pages.

The cookie is HttpOnly and SameSite=Strict, so another site can neither read it nor have it sent. A request that changes
something must also carry `X-CSRF-Token`: a hash of the cookie's secret, which only a page that we rendered for this
session contains. Nothing is stored for it.
"""

import hmac
import re
from http.cookies import CookieError, SimpleCookie

from multidict import MultiMapping

from gateway.auth import tokens
from gateway.errors import Forbidden

COOKIE = "entrepot_session"
CSRF_HEADER = "X-CSRF-Token"
_SECRET = re.compile(r"[0-9A-Za-z_-]{20,200}\Z")


def session_cookie(secret: str, *, max_age: float, is_secure: bool) -> str:
    """The `Set-Cookie` value for a new session; max_age in seconds. is_secure: the client reached us by https."""
    return f"{COOKIE}={secret}; Path=/-/; Max-Age={int(max_age)}; HttpOnly; SameSite=Strict{_secure(is_secure)}"


def ended_cookie(*, is_secure: bool) -> str:
    """The `Set-Cookie` value that makes a browser forget its session."""
    return f"{COOKIE}=; Path=/-/; Max-Age=0; HttpOnly; SameSite=Strict{_secure(is_secure)}"


def read_session(headers: MultiMapping[str]) -> str | None:
    """The session secret in the Cookie header, or None when there is none that could be ours."""
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load("; ".join(headers.getall("Cookie", ()))[:8192])
    except CookieError:
        return None
    found = cookies.get(COOKIE)
    return found.value if found is not None and _SECRET.match(found.value) else None


def csrf_token(secret: str) -> str:
    """What `X-CSRF-Token` must be in a session with this secret."""
    return tokens.sha256(f"csrf:{secret}")


def require_csrf(headers: MultiMapping[str], secret: str) -> None:
    """Raise Forbidden unless the request was made by a page of ours in this session."""
    given = headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), csrf_token(secret).encode()):
        raise Forbidden(f"a change in a session needs its {CSRF_HEADER} header")


def require_same_site(headers: MultiMapping[str]) -> None:
    """Raise Forbidden when the browser itself says that another site made this request (Fetch Metadata)."""
    if headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}:
        raise Forbidden("another site asked for this change")


def _secure(is_secure: bool) -> str:
    return "; Secure" if is_secure else ""
