"""What one actor may see of a repository's names: which layers, and which names in them."""

from collections.abc import Callable, Sequence

from gateway.layers import Layer, flatten
from gateway.model import Actor, Repository, Scope
from gateway.permit import Permit
from gateway.services import Services

_NO_NAME = "\0"  # what no pattern but `*` matches: whoever may read it may read every name that is not restricted


class Sight:
    """The layers of a repository as of now that an actor may read, and the names that are hidden there."""

    def __init__(self, services: Services, repository: Repository, actor: Actor) -> None:
        self._services = services
        self._permit = permit = Permit(services, repository, actor)
        self._actor = actor
        whole = flatten(services, repository)
        self.layers: Sequence[Layer] = [x for x in whole if permit.allows(Scope.READ, repository=x.repository)]
        self._members = tuple(
            ({x.repository.id: x.repository for x in self.layers} | {repository.id: repository}).values()
        )

    @property
    def key(self) -> str:
        """Names what all have in common who see the same layers."""
        return ",".join(f"{x.repository.id}:{x.name}" for x in self.layers)

    def require(self) -> None:
        """Raise Unauthenticated or Forbidden unless the repository may be read."""
        self._permit.require(Scope.READ)

    async def filter(self) -> tuple[Callable[[str], bool] | None, tuple[object, ...]]:
        """Whether a name may be seen, None where all may be; and what names everything that this answer depends on."""
        hidden = await self._hidden()
        is_uniform = all(self._permit.allows(Scope.READ, _NO_NAME, repository=r) for r in self._members)
        if not hidden and is_uniform:
            return None, ()
        actor, token = self._actor, None if self._actor.token is None else self._actor.token.id
        asker = (actor.kind, actor.id, actor.address, token, self._services.database.epoch("auth"))
        return self._may_see(frozenset(hidden)), (tuple(hidden), is_uniform, asker)

    def _may_see(self, hidden: frozenset[str]) -> Callable[[str], bool]:
        permit, members = self._permit, self._members

        def may_see(name: str) -> bool:
            return name not in hidden and any(permit.allows(Scope.READ, name, repository=r) for r in members)

        return may_see

    async def _hidden(self) -> list[str]:
        """Restricted names that the actor may not read, sorted."""
        found: set[str] = set()
        for repository in self._members:
            for name in await self._restricted(repository.id):
                if not self._permit.allows(Scope.READ, name, is_restricted=True, repository=repository):
                    found.add(name)
        return sorted(found)

    async def _restricted(self, repository_id: int) -> list[str]:
        key = ("restricted", repository_id, self._services.database.epoch(f"repository:{repository_id}"))
        found = self._services.memos.rights.get(key)
        if found is None:
            found = self._services.memos.rights[key] = await self._services.packages.restricted(repository_id)
        assert isinstance(found, list)
        return found
