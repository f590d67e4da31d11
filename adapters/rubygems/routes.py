"""The addresses of a repository of gems."""

from adapters.rubygems import index, publishing
from gateway.adapter import Route
from gateway.model import Scope

ROUTES = (
    Route("GET", "", index.root),
    Route("GET", "versions", index.versions),
    Route("GET", "names", index.all_names),
    Route("GET", "info/{name}", index.info),
    Route("GET", "specs.4.8.gz", index.specs("specs", index.finals)),
    Route("GET", "latest_specs.4.8.gz", index.specs("latest_specs", index.latest)),
    Route("GET", "prerelease_specs.4.8.gz", index.specs("prerelease_specs", index.prereleases)),
    Route("GET", "quick/Marshal.4.8/{full}.gemspec.rz", index.gemspec),
    Route("GET", "gems/{full}.gem", index.download),
    Route("POST", "api/v1/gems", publishing.push, Scope.WRITE),
    Route("DELETE", "api/v1/gems/yank", publishing.yank, Scope.DELETE),
)
