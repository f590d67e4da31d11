"""What all handlers of container images share: names in paths, addresses to tell, headers."""

from typing import TYPE_CHECKING

from adapters.container import names
from adapters.container.places import namespace, namespaces
from adapters.container.wire import API_VERSION
from gateway.errors import Forbidden

if TYPE_CHECKING:
    from gateway.web.answers import Headers
    from gateway.web.call import Call, HostCall

MOST = 1000  # entries of one page of a list


def image(call: "Call", *, writes: bool = False) -> str:
    """The name of the image in the path; raises Invalid, and Forbidden for a write meant for another registry."""
    asked = namespace(call.query)
    if writes and asked is not None and asked not in namespaces(call.repository):
        raise Forbidden(f"this repository does not stand in for {asked[:100]}")
    if writes and call.place is not None and call.place.outer == call.place.inner:
        raise Forbidden("images are pushed by the address of their repository, not through a mirror")
    call.package = names.check_name(call.path["name"])
    return call.package


def headers(call: "HostCall", *more: tuple[str, str]) -> "Headers":
    """The headers of every answer below /v2/, with these."""
    asked = namespace(call.query)
    repository = getattr(call, "repository", None)
    if asked is not None and repository is not None and asked in namespaces(repository):
        return (API_VERSION, ("OCI-Namespace", call.query["ns"]), *more)
    return (API_VERSION, *more)


def address(call: "Call", rest: str) -> str:
    """The absolute path of something of the image in the path."""
    return call.address(f"v2/{call.path['name']}/{rest}")
