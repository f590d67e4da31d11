"""The npm registry's protocol (npm, pnpm, yarn, bun, deno): `ADAPTER` is all that the core sees of it."""

from adapters.npm import attested
from adapters.npm.names import normalize_path
from adapters.npm.routes import ROUTES
from adapters.npm.snippets import SNIPPETS
from adapters.npm.wire import NpmFormat
from gateway.adapter import Adapter

ADAPTER = Adapter(
    type="npm",
    format=NpmFormat(),
    routes=ROUTES,
    upstream="npm",
    title="npm",
    challenge="Bearer",
    normalize_path=normalize_path,
    snippets=SNIPPETS,
    hides_by_404=True,
    claims=(attested.CLAIM,),
    locate=attested.locate,
    host_routes=attested.HOST_ROUTES,
    code_header="npm-otp",
)
