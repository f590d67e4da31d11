"""The addresses of a repository of container images; `places` brings those at the root of the host here as well."""

from typing import TYPE_CHECKING

from adapters.container.common import headers
from adapters.container.routes_blobs import append, begin, blob, cancel, delete_blob, finish, status
from adapters.container.routes_lists import catalog_of_host, catalog_of_repository, referrers, tags
from adapters.container.routes_manifests import delete_manifest, manifest, put_manifest
from adapters.container.token_service import token_of_host, token_of_repository
from gateway.adapter import HostRoute, Route
from gateway.errors import Unauthenticated
from gateway.model import Scope

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import HostCall


async def ping(call: "HostCall") -> "Answer":
    """GET v2/: 200 for whoever presents anything good, else the challenge, from which clients learn where to sign in.

    Without it docker, podman and skopeo would never authenticate, and `docker login` would take any password.
    """
    if call.actor.is_anonymous and call.actor.token is None:
        raise Unauthenticated("sign in, or ask for an anonymous pass")
    return call.json({}, headers=headers(call))


ROUTES = (
    Route("GET", "v2/", ping, None),
    Route("GET", "v2", ping, None),
    Route("GET", "token", token_of_repository, None),
    Route("POST", "token", token_of_repository, None),
    Route("GET", "v2/_catalog", catalog_of_repository, None),
    Route("POST", "v2/{name*}/blobs/uploads/", begin, Scope.WRITE),
    Route("POST", "v2/{name*}/blobs/uploads", begin, Scope.WRITE),
    Route("PATCH", "v2/{name*}/blobs/uploads/{id}", append, Scope.WRITE),
    Route("PUT", "v2/{name*}/blobs/uploads/{id}", finish, Scope.WRITE),
    Route("GET", "v2/{name*}/blobs/uploads/{id}", status, Scope.WRITE),
    Route("DELETE", "v2/{name*}/blobs/uploads/{id}", cancel, Scope.WRITE),
    Route("GET", "v2/{name*}/blobs/{digest}", blob),
    Route("DELETE", "v2/{name*}/blobs/{digest}", delete_blob, Scope.DELETE),
    Route("GET", "v2/{name*}/manifests/{reference}", manifest),
    Route("PUT", "v2/{name*}/manifests/{reference}", put_manifest, Scope.WRITE),
    Route("DELETE", "v2/{name*}/manifests/{reference}", delete_manifest, Scope.DELETE),
    Route("GET", "v2/{name*}/tags/list", tags),
    Route("GET", "v2/{name*}/referrers/{digest}", referrers),
)
HOST_ROUTES = (
    HostRoute("GET", "v2/", ping, stands_in=True),
    HostRoute("GET", "v2", ping, stands_in=True),
    HostRoute("GET", "v2/_catalog", catalog_of_host),
    HostRoute("GET", "token", token_of_host, stands_in=True),
    HostRoute("POST", "token", token_of_host, stands_in=True),
)
