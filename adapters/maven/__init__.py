"""Maven repositories, as Maven, Gradle, Ivy and coursier speak to them: files by path, and metadata of our own.

A repository's settings: `versions` (`any`, `releases` or `snapshots`): what it takes. `redeploy` (false): releases may
be replaced. `keep_snapshots` (0: all, else 2 or more): whole builds that are kept of a snapshot version. `listings`
(true): folders answer with a page. `prefixes` (false): without upstreams, `.meta/prefixes.txt` says what may be here.
`realm`: what the challenge names.
"""

from adapters.maven.prefetch import from_pom
from adapters.maven.routes import ROUTES
from adapters.maven.snippets import SNIPPETS
from adapters.maven.wire import MavenFormat
from gateway.adapter import Adapter

ADAPTER = Adapter(
    type="maven",
    format=MavenFormat(),
    routes=ROUTES,
    upstream="maven-central",
    title="Maven",
    aliases=("gradle",),
    snippets=SNIPPETS,
    prefetch={"pom.xml": from_pom, "*.pom": from_pom},
)
