"""The ways in which an upstream can be wrong, as values: `fake.fault(slow(rate=1000), "/simple/acme/")`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `kind` is the name of the function below that made it, the rest its parameters."""

    kind: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    rate: int | None = None
    size: int = 0
    times: int | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Fault":
        """As the control address of a fake in another process gets it: the fields of this class."""
        return cls(**value)


def down(times: int | None = None) -> Fault:
    """The connection is reset instead of an answer. (`await fake.stop()` refuses connections.)"""
    return Fault("down", times=times)


def slow(first_byte: float = 0.0, rate: int | None = None) -> Fault:
    """The answer starts after `first_byte` seconds and comes at `rate` bytes a second (None: at once)."""
    return Fault("slow", seconds=first_byte, rate=rate)


def answer(status: int, headers: Mapping[str, str] | None = None, times: int | None = None) -> Fault:
    """Another status instead of the page: 401, 403, 404, 410, 500, …"""
    return Fault("answer", status=status, headers=headers or {}, times=times)


def limited(retry_after: str | None = "30", status: int = 429, times: int | None = None) -> Fault:
    """429 (or 503) with Retry-After: seconds, an HTTP date, or None for none."""
    return answer(status, {} if retry_after is None else {"Retry-After": retry_after}, times)


def truncate(size: int | None = None, times: int | None = None) -> Fault:
    """The promised length, but the connection ends after `size` bytes of the body (None: half)."""
    return Fault("truncate", size=-1 if size is None else size, times=times)


def corrupt(position: int = -1, times: int | None = None) -> Fault:
    """One byte of the body is another; -1: the middle one."""
    return Fault("corrupt", size=position, times=times)


def wrong_length(extra: int = 10) -> Fault:
    """Content-Length is off by `extra` bytes: positive promises too much, negative too little."""
    return Fault("wrong_length", size=extra)


def endless(rate: int | None = None) -> Fault:
    """A body without end, at `rate` bytes a second (None: as fast as it goes)."""
    return Fault("endless", rate=rate)


def huge_headers(size: int = 1_000_000) -> Fault:
    """`size` bytes of header fields, 4 KiB each."""
    return Fault("huge_headers", size=size)


def huge_header(size: int = 1_000_000) -> Fault:
    """One header field of `size` bytes."""
    return Fault("huge_header", size=size)


def redirect(location: str, status: int = 302, times: int | None = None) -> Fault:
    """A redirect to an absolute or relative address."""
    return answer(status, {"Location": location}, times)


def bomb(size: int = 1 << 30) -> Fault:
    """A gzipped body that becomes `size` zeros."""
    return Fault("bomb", size=size)


def malformed() -> Fault:
    """A body that looks like the page's type and cannot be parsed."""
    return Fault("malformed")
