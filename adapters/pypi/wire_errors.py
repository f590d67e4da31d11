"""Errors in the words and forms that Python's clients print.

twine, hatch and flit show the HTTP/1.1 reason phrase, poetry the reason and the body, uv the JSON key `code` (only when
the type is exactly `application/json`) or title and detail of a problem document (RFC 9457).
"""

import msgspec

from adapters.pypi.negotiate import prefers_json
from gateway.errors import AlreadyExists, Blocked, GatewayError
from gateway.format import ErrorBody

_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    416: "Range Not Satisfiable",
    429: "Too Many Requests",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


def render_error(error: GatewayError, accept: str) -> ErrorBody:
    """The error as text or JSON, as the client prefers; what is blocked always as a problem document."""
    status = 400 if isinstance(error, AlreadyExists) else error.status  # 409 means "skip" to twine, poetry and pdm
    message = _message(error)
    title = _TITLES.get(status, "Internal Server Error")
    if isinstance(error, Blocked):
        problem = {"type": "about:blank", "title": title, "status": status, "detail": message}
        body, kind = msgspec.json.encode(problem), "application/problem+json"
    elif prefers_json(accept):
        body = msgspec.json.encode({"code": f"{status} {message}", "message": message, "title": title})
        kind = "application/json"
    else:
        body, kind = f"{message}\n".encode(), "text/plain; charset=utf-8"
    return ErrorBody(body, kind, reason=reason_phrase(message), status=status)


def reason_phrase(message: str) -> str:
    """The message as a reason phrase: one line of latin-1, at most 200 characters (RFC 9112 §4)."""
    line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return line.encode("latin-1", "replace").decode("latin-1")[:200]


def _message(error: GatewayError) -> str:
    """The sentence; for an existing file it says `already exist`, which is what clients look for in it."""
    if isinstance(error, AlreadyExists) and "already exist" not in error.message:
        return f"File already exists: {error.message}"
    return error.message
