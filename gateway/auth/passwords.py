"""Passwords: argon2id with the library's current parameters, always in a thread: one hash costs 50 ms.

Two threads of their own run them: a flood of sign-ins must take neither all memory (64 MiB each) nor the threads that
files are read in. Whoever would wait behind more than `MAX_WAITING` others is told to come back.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import Invalid, Throttled

MIN_LENGTH = 10
MAX_LENGTH = 1024
MAX_WAITING = 32

_T = TypeVar("_T")
_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")
_waiting: set[object] = set()
_decoys: list[str] = []


def check(password: str) -> None:
    """Raise Invalid unless this may become somebody's password."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters, not {len(password)}")


async def hash(password: str) -> str:  # noqa: A001  (called as passwords.hash)
    """The encoded argon2id hash, with its salt and parameters; raises Invalid for a password of the wrong length."""
    check(password)
    return await _in_thread(lambda: _hasher.hash(password))


async def verify(encoded: str | None, password: str) -> bool:
    """Whether the password is the one behind `encoded`; None is always False, and takes the same time."""
    if len(password) > MAX_LENGTH:
        return False
    return await _in_thread(lambda: _verify(encoded, password))


async def _in_thread(work: Callable[[], _T]) -> _T:
    if len(_waiting) >= MAX_WAITING:
        raise Throttled("too many sign-ins at once", retry_after=1.0)
    place = object()
    _waiting.add(place)
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work)
    finally:
        _waiting.discard(place)


def _verify(encoded: str | None, password: str) -> bool:
    try:
        _hasher.verify(encoded or _decoy(), password)
    except (VerificationError, InvalidHashError):
        return False
    return encoded is not None


def _decoy() -> str:
    """The hash of a password that no account has, so that an unknown user costs what a wrong password costs."""
    if not _decoys:
        _decoys.append(_hasher.hash("a password that no account has"))
    return _decoys[0]
