"""A blocking call in a thread that is never abandoned half-way.

`asyncio.to_thread` lets a cancelled caller go on while the thread still works, on a file descriptor that the caller is
about to close and the kernel about to give to somebody else. Here the caller leaves only when the thread is done.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

Result = TypeVar("Result")


async def in_thread(call: Callable[[], Result], executor: Executor | None = None) -> Result:
    """Run `call` in a thread and return its result. A cancellation takes effect once the call has ended."""
    future = asyncio.get_running_loop().run_in_executor(executor, call)
    return await ended(future)


async def ended(future: "asyncio.Future[Result]") -> Result:
    """The result of a future of a thread; a cancellation takes effect once it has ended."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait((future,))
            except asyncio.CancelledError:  # asked twice: the answer stays the same
                continue
        if not future.cancelled():
            future.exception()  # nobody else will look at it
        raise
