"""Gems: the compact index, the Marshal index, push and yank, as gem and Bundler speak them.

A repository's settings: `created_at` (true): say in the index when our own versions were published.
"""

from adapters.rubygems.names import normalize_path
from adapters.rubygems.prefetch import from_lock
from adapters.rubygems.routes import ROUTES
from adapters.rubygems.snippets import SNIPPETS
from adapters.rubygems.wire import RubyGemsFormat
from gateway.adapter import Adapter

ADAPTER = Adapter(
    type="rubygems",
    format=RubyGemsFormat(),
    routes=ROUTES,
    upstream="rubygems",
    title="Ruby",
    snippets=SNIPPETS,
    normalize_path=normalize_path,
    # gem 4 sends the code that was just refused when it asks here for a security key, and would ask anew for ever.
    signs_in=frozenset({"api/v1/webauthn_verification"}),
    prefetch={"Gemfile.lock": from_lock, "gems.locked": from_lock, "*.lock": from_lock},
)
