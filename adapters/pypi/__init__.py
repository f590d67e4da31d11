"""Python packages: Simple repository API 1.4, upload API, JSON API and provenance, as pip, uv and twine speak them.

A repository's settings: `strict` (false): check uploads as PyPI does. `attestations` (`store`): keep those that fit the
file, `refuse` an upload whose do not, or `ignore` them all.
"""

from adapters.pypi.routes import ROUTES
from adapters.pypi.snippets import SNIPPETS
from adapters.pypi.wire import PyPIFormat
from gateway.adapter import Adapter

ADAPTER = Adapter(
    type="pypi",
    format=PyPIFormat(),
    routes=ROUTES,
    upstream="pypi",
    title="Python",
    snippets=SNIPPETS,
)
