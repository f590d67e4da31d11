"""What is known of one request, in the order in which it becomes known."""

from gateway.adapter import Adapter, Place
from gateway.model import Actor, Repository, RepositoryKey
from gateway.web.forwarded import Client


class Asked:
    """What is known of one request so far; filled while it is routed, read by the log."""

    __slots__ = (
        "accept",
        "actor",
        "adapter",
        "base",
        "client",
        "key",
        "package",
        "path",
        "place",
        "repository",
        "request_id",
        "rest",
        "root",
    )

    def __init__(self, request_id: str, accept: str) -> None:
        self.request_id = request_id
        self.accept = accept
        self.client = Client("", "http", "")
        self.actor: Actor | None = None
        self.adapter: Adapter | None = None
        self.repository: Repository | None = None
        self.path = ""
        self.rest = ""
        self.root = ""
        self.base = ""
        self.package = ""
        self.key: RepositoryKey | None = None
        self.place: Place | None = None
