"""NuGet's protocol (dotnet, nuget.exe, PowerShell): `ADAPTER` is all that the core sees of it."""

from adapters.nuget.prefetch import from_lock
from adapters.nuget.routes import ROUTES
from adapters.nuget.snippets import SNIPPETS
from adapters.nuget.wire import NugetFormat
from gateway.adapter import Adapter

ADAPTER = Adapter(
    type="nuget",
    format=NugetFormat(),
    routes=ROUTES,
    upstream="nuget",
    title="NuGet",
    snippets=SNIPPETS,
    prefetch={"packages.lock.json": from_lock, "packages.*.lock.json": from_lock},
    hides_by_404=True,
)
