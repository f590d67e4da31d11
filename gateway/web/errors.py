"""The only place that turns an error into a response: the adapter gives the body, this module status and headers."""

import json

from gateway.errors import GatewayError, MethodNotAllowed, RangeUnsatisfiable, Throttled, Unauthenticated
from gateway.format import ErrorBody, Format
from gateway.web.answers import Answer


def answer_for(error: GatewayError, format_: Format | None, accept: str, challenge: str = "") -> Answer:
    """The error as a response in the ecosystem's words, or as problem+json (RFC 9457) where there is no ecosystem.

    challenge: the whole `WWW-Authenticate` value for a 401 (RFC 9110 §11.6.1).
    """
    body = problem(error) if format_ is None else format_.render_error(error, accept)
    headers = [("Content-Type", body.content_type), ("Cache-Control", "no-store"), *body.headers]
    if isinstance(error, Unauthenticated) and challenge:
        headers.append(("WWW-Authenticate", challenge))
    if error.retry_after is not None or error.status == 503 or isinstance(error, Throttled):
        headers.append(("Retry-After", str(max(1, round(error.retry_after or 5)))))
    if isinstance(error, MethodNotAllowed):
        headers.append(("Allow", error.allowed))
    if isinstance(error, RangeUnsatisfiable):
        headers.append(("Content-Range", f"bytes */{error.size}"))
    return Answer(body.status or error.status, tuple(headers), body.body, body.reason)


def problem(error: GatewayError) -> ErrorBody:
    """The error as `application/problem+json`, with its stable code."""
    tree = {"type": "about:blank", "title": error.message, "status": error.status, "code": error.code}
    return ErrorBody(json.dumps(tree).encode(), "application/problem+json")
