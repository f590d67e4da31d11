"""The addresses of a repository of gems. What is retired (`api/v1/dependencies`) has none: a quick 404."""

from adapters.rubygems import account, api, index, publishing
from gateway.adapter import Route
from gateway.model import Scope

_OWNERS = "api/v1/gems/{name}/owners{dot:\\.?}{form:|yaml|json}"

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
    Route("POST", "api/v1/api_key", account.create_key, None),
    Route("PUT", "api/v1/api_key", account.change_key, None),
    Route("GET", "api/v1/api_key", account.retired_key, None),
    Route("GET", _OWNERS, account.owners),
    Route("POST", _OWNERS, account.add_owner, Scope.ADMIN),
    Route("PATCH", _OWNERS, account.change_owner, Scope.ADMIN),
    Route("DELETE", _OWNERS, account.remove_owner, Scope.ADMIN),
    Route("GET", "api/v1/versions/{name}.json", api.versions),
    Route("GET", "api/v1/gems/{name}.json", api.latest),
    Route("GET", "api/v2/rubygems/{name}/versions/{version}.json", api.version),
    Route("GET", "api/v1/search.json", api.search),
    Route("GET", "api/v1/attestations/{full}.json", api.attestations),
)
