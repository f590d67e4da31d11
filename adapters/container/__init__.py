"""Container images and other OCI artifacts: distribution-spec 1.1, with the token service that docker expects.

A repository's settings: `namespaces` (list): registries whose `?ns=` requests it answers. `immutable` (list): patterns
of tags that never move. `sparse` (false): let an index name images that are not here. `allow_shadow` (false): let names
be pushed that an upstream knows. `keep_deleted` (false): serve tags for good that the upstream deleted. `tag_seconds`
(pattern → seconds): how long a tag of an upstream is believed. `retention` (list of rules): see `gateway.retention`.
"""

from adapters.container.names import ALIASES, TYPE
from adapters.container.places import locate
from adapters.container.routes import HOST_ROUTES, ROUTES
from adapters.container.scopes import challenge_for
from adapters.container.snippets import SNIPPETS
from adapters.container.wire import ContainerFormat, decode_colons
from gateway.adapter import Adapter

ADAPTER = Adapter(
    type=TYPE,
    format=ContainerFormat(),
    routes=ROUTES,
    upstream="docker-hub",
    title="Containers",
    aliases=ALIASES,
    challenge="Bearer",
    normalize_path=decode_colons,
    snippets=SNIPPETS,
    hides_by_403=True,
    challenge_for=challenge_for,
    claims=("v2", "v1", "token"),
    locate=locate,
    host_routes=HOST_ROUTES,
    signs_in=frozenset({"token"}),
)
