"""Grants: who may give which role on what.

An administrator may give anything. The owner of a name, or of an organisation, gives below `<type>/<that name>/` only.
Whoever was granted `admin` on patterns gives within exactly these. The acting token must reach as far as the grant.
"""

from gateway.auth import access, narrowing
from gateway.auth.acting import Acting
from gateway.auth.patterns import check_package_pattern, check_repository_pattern
from gateway.errors import Forbidden, Invalid, Unknown
from gateway.model import ActorKind, Scope
from gateway.store.rows import GrantRow


class GrantAccounts(Acting):
    """Grants, as far as the acting actor may see and give them."""

    async def grants(self) -> list[GrantRow]:
        """All those that the actor could take back, oldest first."""
        self.require_signed_in()
        return [
            row for row in await self._identities.grants() if self._may_grant(row.repository, row.package, row.cidr)
        ]

    async def create_grant(
        self,
        *,
        subject_kind: str,
        subject: str | None,
        role: str,
        repository: str,
        package: str = "*",
        cidr: str | None = None,
    ) -> GrantRow:
        """Give a role. subject: an actor's name, `organisation/team`, or None for `anonymous` and `everyone`.

        Raises Invalid, Unknown for the subject, and Forbidden for patterns beyond what the actor administers.
        """
        check_repository_pattern(repository)
        check_package_pattern(package)
        cidr = access.check_cidr(cidr) if cidr is not None else None
        if role not in access.ROLES:
            raise Invalid(f"expected one of the roles {', '.join(access.ROLES)}, got {role[:20]!r}")
        self._require_grant(repository, package, cidr)
        if subject_kind in {"anonymous", "everyone"} and role != "read":
            raise Invalid(f"{subject_kind} can be given read only")
        row = await self._identities.create_grant(
            subject_kind=subject_kind,
            subject_id=self._subject(subject_kind, subject),
            role=role,
            repository=repository,
            package=package,
            cidr=cidr,
            created_by=self.actor.name,
        )
        await self.note(
            "grant.create",
            repository,
            package,
            id=row.id,
            subject=f"{subject_kind}:{subject or '*'}",
            role=role,
            cidr=cidr,
        )
        return row

    async def delete_grant(self, id_: int) -> None:
        """Take a grant back; raises Unknown for one that the actor could not have given."""
        self.require_signed_in()
        row = next((row for row in await self._identities.grants() if row.id == id_), None)
        if row is None or not self._may_grant(row.repository, row.package, row.cidr):
            raise Unknown("no such grant")
        access.require_proof(self.actor, Scope.ADMIN)
        await self._identities.delete_grant(id_)
        await self.note("grant.delete", row.repository, row.package, id=id_, role=row.role)

    def subject_of(self, row: GrantRow) -> str | None:
        """The name of an actor who has a grant, or None where a grant is not an actor's."""
        if row.subject_kind not in {"user", "service"} or row.subject_id is None:
            return None
        found = self._identities.actor(row.subject_id)
        return found.name if found is not None else None

    def _require_grant(self, repository: str, package: str, cidr: str | None) -> None:
        self.require_signed_in()
        if not self._may_grant(repository, package, cidr):
            raise Forbidden(f"{self.actor.name} does not administer {package} in {repository}, or its token does not")
        access.require_proof(self.actor, Scope.ADMIN)

    def _may_grant(self, repository: str, package: str, cidr: str | None) -> bool:
        return self._token_reaches(repository, package) and (
            self.rights.is_admin
            or access.may_own(self.rights, self.actor, _owner_of(repository))
            or any(self._passes_on(held, repository, package, cidr) for held in self.rights.grants)
        )

    def _token_reaches(self, repository: str, package: str) -> bool:
        token = self.actor.token
        if token is None:
            return True
        if Scope.ADMIN not in token.scopes or not access.is_alive(token, self.actor.address, now=self._clock()):
            return False
        repositories, packages = token.repositories or ("*",), token.packages or ("*",)
        return any(narrowing.covers_repository(mine, repository) for mine in repositories) and any(
            narrowing.covers_package(mine, package) for mine in packages
        )

    def _passes_on(self, held: GrantRow, repository: str, package: str, cidr: str | None) -> bool:
        """Whether an `admin` grant lets its holder give this one, from here and for no other network than its own."""
        if held.role != "admin":
            return False
        if held.cidr is not None and not (
            cidr is not None
            and narrowing.covers_network(held.cidr, cidr)
            and access.is_within(self.actor.address, held.cidr)
        ):
            return False
        return narrowing.covers_repository(held.repository, repository) and narrowing.covers_package(
            held.package, package
        )

    def _subject(self, kind: str, name: str | None) -> int | None:
        if kind in {"anonymous", "everyone"}:
            if name is not None:
                raise Invalid(f"{kind} has no name")
            return None
        if name is None:
            raise Invalid(f"which {kind[:20]}?")
        if kind in {"user", "service"}:
            return self._named(name, ActorKind(kind)).id
        if kind != "team":
            raise Invalid("a grant is for a user, a service, a team, anonymous or everyone")
        organisation, _, team = name.partition("/")
        row = self._identities.team(organisation, team)
        if row is None:
            raise Unknown(f"no team {name[:200]}")
        return row.id


def _owner_of(pattern: str) -> str:
    """The owner that a repository pattern names literally, or the empty string, which nobody is called."""
    parts = pattern.split("/")
    return parts[1] if len(parts) == 3 and "*" not in parts[1] else ""
