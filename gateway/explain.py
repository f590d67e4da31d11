"""Why an answer is what it is: the layers asked for a name, in order, with what each of them said.

It walks the same functions as a real read, so that it cannot tell another story; it asks upstreams as a read would, and
never one that a read would not ask.
"""

import re
import time
from collections.abc import Mapping

from msgspec import Struct, field

from gateway import listings
from gateway.errors import GatewayError, RepositoryUnknown
from gateway.layers import Layer, Ownership, ownership
from gateway.listings import HeldListing
from gateway.model import HOSTED_LAYER, RepositoryKey
from gateway.services import Services

_MOST_TAGS = 10_000


class Step(Struct, frozen=True):
    """One layer. kind: `hosted` or `upstream`; verdict: `answers`, `absent`, `not asked`, `trouble` or `blocked`."""

    layer: str
    kind: str
    verdict: str
    detail: str


class Explanation(Struct, frozen=True):
    """What a read of this name does. versions_seen: 2.9 before 2.10. versions_hidden: version → why it is not shown."""

    repository: RepositoryKey
    package: str
    owner_mode: str
    why: str
    freshness: str
    steps: tuple[Step, ...]
    versions_seen: tuple[str, ...]
    versions_hidden: Mapping[str, str] = field(default_factory=dict)


async def explain(services: Services, key: RepositoryKey, package: str) -> Explanation:
    """Explain how `package` (any spelling) is read from a repository; raises RepositoryUnknown or Invalid."""
    repository = services.repository(key)
    if repository is None:
        raise RepositoryUnknown(f"no repository {key}")
    format_ = services.formats[key.type]
    name = format_.normalize(package)
    owned = ownership(services, repository, name)
    story = _Story(services, name, owned)
    for layer in owned.layers:
        await story.ask(layer)
    return Explanation(
        key,
        name,
        str(owned.mode),
        owned.why,
        story.freshness,
        tuple(story.steps),
        tuple(sorted(story.seen, key=_by_numbers)),
        story.hidden,
    )


class _Story:
    """Collects the steps; the first layer that answers owns the name unless it is merged."""

    def __init__(self, services: Services, package: str, owned: Ownership) -> None:
        self._services = services
        self._package = package
        self._owned = owned
        self._may_answer = [*owned.hosted(), *owned.upstreams()]
        self._answered: set[str] = set()
        self.steps: list[Step] = []
        self.seen: dict[str, None] = {}
        self.hidden: dict[str, str] = {}
        self.freshness = ""

    async def ask(self, layer: Layer) -> None:
        kind = HOSTED_LAYER if layer.upstream is None else "upstream"
        label = f"{layer.repository.key.owner}/{layer.repository.key.name}: {layer.name}"
        if layer not in self._may_answer or kind in self._answered:
            self.steps.append(Step(label, kind, "not asked", self._why_not(layer, kind)))
            return
        try:
            verdict, detail = await (self._hosted(layer) if layer.upstream is None else self._upstream(layer))
        except GatewayError as error:
            self.steps.append(Step(label, kind, "blocked" if error.status == 403 else "trouble", error.message))
            return
        if verdict == "answers":
            self._answered.add(kind)
        self.steps.append(Step(label, kind, verdict, detail))

    def _why_not(self, layer: Layer, kind: str) -> str:
        if kind in self._answered:
            return "an earlier layer owns the name"
        if layer.upstream is None:
            return f"the name belongs to {self._owned.origin or 'an upstream'}"
        if not layer.upstream.admits(self._package):
            return "its filters leave the name out"
        if self._owned.origin:
            return f"the name belongs to {self._owned.origin}"
        return "the name is hosted, so no request carries it away"

    async def _hosted(self, layer: Layer) -> tuple[str, str]:
        hosted = await self._services.packages.hosted(layer.repository.id, self._package)
        tags = await self._services.graph.tags(layer.repository.id, self._package, "", _MOST_TAGS)
        if tags:
            self.freshness = self.freshness or "hosted"
            self.seen.update(dict.fromkeys(tags))
            return "answers", f"{len(tags)} tags"
        if hosted is None or not (hosted.files or hosted.tombstones):
            return "absent", "nothing was published here under this name"
        self.freshness = self.freshness or "hosted"
        versions = dict.fromkeys(file.version for file in hosted.files)
        self.seen.update(versions)
        self.hidden.update(dict.fromkeys(hosted.tombstone_versions, "deleted; the version is never used again"))
        return "answers", f"{len(versions)} versions in {len(hosted.files)} files, revision {hosted.row.revision}"

    async def _upstream(self, layer: Layer) -> tuple[str, str]:
        services, upstream = self._services, layer.upstream
        assert upstream is not None
        format_ = services.formats[layer.repository.key.type]

        held = await listings.hold(services.documents, format_, upstream, self._package)
        if held is None:
            return "absent", f"{upstream.url} says there is no such package"
        listing = await listings.read(services.documents, format_, held, self._package)
        self.freshness = held.freshness
        for version in dict.fromkeys(file.version for file in listing.files):
            if version in self.seen:
                self.hidden[f"{version} from {upstream.name}"] = "the hosted version wins"
            self.seen[version] = None
        return "answers", f"{len(listing.files)} files, {_age(held)}"


def _age(held: HeldListing) -> str:
    seconds = max(0, int(time.time() - held.fetched_at))
    return f"confirmed {seconds} s ago, fresh for {int(held.remaining)} s more ({held.freshness})"


def _by_numbers(version: str) -> list[tuple[int, str]]:
    """Sorts a version by the values of its numbers, however long they are, and by the texts between them."""
    parts = enumerate(re.split("([0-9]+)", version))
    numbers = ((at % 2, part.lstrip("0") if at % 2 else part) for at, part in parts)
    return [(len(part) if is_number else 0, part) for is_number, part in numbers]
