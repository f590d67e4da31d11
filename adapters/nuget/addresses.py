"""Reading what routes captured: the address that was asked for, ids, versions, and what an actor may know of."""

from typing import TYPE_CHECKING, Any

from adapters.nuget import names
from gateway.adapter import Route
from gateway.errors import FileUnknown, Invalid, PackageUnknown, VersionUnknown
from gateway.model import Scope

if TYPE_CHECKING:
    from gateway.web.call import Call


def routes(method: str, pattern: str, handler: Any, scope: Scope | None = Scope.READ) -> tuple[Route, ...]:
    """The route at the top of the repository, and below `v3/` for those who asked for `v3/index.json`."""
    return (Route(method, pattern, handler, scope), Route(method, f"{{v3:v3}}/{pattern}", handler, scope))


def base_of(call: "Call") -> str:
    """The address below which every resource is, for this client: clients send credentials unasked only deeper."""
    return f"{call.base}v3/" if "v3" in call.path else call.base


def package_of(call: "Call") -> str:
    """The canonical id in the path; what is none, or not for this actor, is unknown (nuget.md §3: never 403)."""
    return known_package(call, call.path["id"])


def known_package(call: "Call", id_: str) -> str:
    """The canonical id; raises PackageUnknown for what is none, and for what this actor may not know of.

    Nobody in particular gets a 401 later on, since clients begin without credentials.
    """
    if not names.is_id(id_):
        raise PackageUnknown(f"not a NuGet package id: {id_[:80]!r}")
    call.package = names.normalize(id_)
    if not call.actor.is_anonymous and not call.pull.may(call.package, Scope.READ):
        raise PackageUnknown(f"no package {call.package}")
    return call.package


def version_of(call: "Call") -> str:
    """The canonical version in the path; raises VersionUnknown."""
    text = call.path["version"]
    try:
        return names.version_key(text)
    except Invalid as error:
        raise VersionUnknown(error.message) from error


def filename_of(package: str, version: str, filename: str) -> str:
    """The canonical name of the package's file; raises FileUnknown for any other."""
    if not names.is_file_of(package, version, filename):
        raise FileUnknown(f"{package} has no file {filename[:80]}")
    return names.nupkg(package, version)
