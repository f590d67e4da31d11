"""Graphs of upstreams."""

from dataclasses import dataclass

from gateway.layers import Layer
from gateway.model import Digest, Repository
from gateway.opened import OpenFile
from gateway.services import Services


@dataclass(frozen=True, slots=True)
class Remote:
    """A node of an upstream."""

    digest: str
    media_type: str
    layer: str
    freshness: str
    remaining: float
    warning: str = ""


class Remotes:
    """The upstreams that may be asked for a package."""

    def __init__(self, services: Services, repository: Repository, layers: list[Layer], package: str) -> None:
        self._services = services
        self._repository = repository
        self._layers = layers
        self._package = package

    async def node(self, reference: str) -> tuple[Remote, bytes] | None:
        return None

    async def blob(self, digest: Digest) -> OpenFile | None:
        return None

    async def tags(self) -> list[str] | None:
        return None

    async def attached(self, subject: str) -> list[bytes]:
        return []
