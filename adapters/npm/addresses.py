"""How npm's addresses are spelt as routes, and the small things every handler does with a call.

`NAME` in a pattern stands for a package, scoped or not; by the time a route is matched the scope's slash is a plain one
(`names.normalize_path`). The first segment `-` is the API and never a package.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.npm import names
from gateway.adapter import Route
from gateway.errors import Invalid, PackageUnknown, UpstreamCorrupt
from gateway.model import Scope

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

SMALL_BODY = 1024 * 1024
_UNSCOPED = r"{name:(?!-/|-\Z|[._@])[^/]+}"
_SCOPED = r"{scope:@[^/]+}/{name}"

Handler = Callable[["Call"], Awaitable["Answer"]]


def routes(method: str, pattern: str, handler: Handler, scope: Scope | None = Scope.READ) -> tuple[Route, ...]:
    """The route, or, where the pattern has `NAME`, the two for scoped and unscoped packages."""
    if "NAME" not in pattern:
        return (Route(method, pattern, handler, scope),)
    return tuple(Route(method, pattern.replace("NAME", name), handler, scope) for name in (_SCOPED, _UNSCOPED))


def package_of(call: "Call", scope: Scope = Scope.READ) -> str:
    """The canonical name in the address; raises Invalid, and PackageUnknown or Forbidden as `Pull.show`."""
    outer = call.path.get("scope")
    return shown(call, names.normalize(f"{outer}/{call.path['name']}" if outer else call.path["name"]), scope)


def shown(call: "Call", package: str, scope: Scope = Scope.READ) -> str:
    """The canonical name, once it is clear that the actor may know of it (npm.md §4); scope: what is asked for."""
    call.package = package
    call.pull.show(package, scope)
    return package


def unknown(call: "Call", package: str) -> PackageUnknown:
    """The one way to say so, whether there is no such package or none that is published here."""
    return PackageUnknown(f"no package {package} in {call.repository.key}")


async def json_body(call: "Call", limit: int = SMALL_BODY) -> Any:
    """The body as JSON, None for an empty one; raises Invalid or TooLarge."""
    body = await call.body(limit)
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("the body is not JSON") from error


async def json_object(call: "Call") -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty object."""
    value = await json_body(call)
    if not isinstance(value, dict | None):
        raise Invalid("expected a JSON object")
    return value or {}


def json_object_of(body: bytes) -> dict[str, Any]:
    """An upstream's answer as a JSON object; raises UpstreamCorrupt."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt("the upstream's answer is not JSON") from error
    if not isinstance(value, dict):
        raise UpstreamCorrupt("the upstream's answer is not an object")
    return value


def text_of(members: dict[str, Any], name: str) -> str:
    """A member that must be text and not empty; raises Invalid."""
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"the body needs {name}")
    return value
