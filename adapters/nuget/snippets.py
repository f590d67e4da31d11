"""Client configuration to paste: one source, cleared of all others, so that no id is asked for anywhere else."""

from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from gateway.adapter import SnippetContext

_TOKEN = "%ENTREPOT_TOKEN%"  # noqa: S105 the name of an environment variable


def nuget(context: SnippetContext) -> str:
    """`nuget.config` beside the solution, for dotnet, msbuild, nuget.exe and Visual Studio."""
    name = _name(context)
    insecure = ' allowInsecureConnections="true"' if context.base.startswith("http://") else ""
    source = f'<add key="{name}" value="{escape(context.base)}index.json" protocolVersion="3"{insecure} />'
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        "<!-- nuget.config -->",
        "<configuration>",
        "  <packageSources>",
        "    <clear />",
        f"    {source}",
        "  </packageSources>",
        "  <packageSourceMapping>",
        f'    <packageSource key="{name}"><package pattern="*" /></packageSource>',
        "  </packageSourceMapping>",
    ]
    if not context.is_anonymous:
        lines += [
            "  <packageSourceCredentials>",
            f"    <{name}>",
            '      <add key="Username" value="token" />',
            f'      <add key="ClearTextPassword" value="{_TOKEN}" />',
            f"    </{name}>",
            "  </packageSourceCredentials>",
        ]
    lines += [
        "</configuration>",
        f"<!-- dotnet nuget push bin/Release/*.nupkg -s {name} -k {_TOKEN} -->",
    ]
    return "\n".join(lines) + "\n"


def powershell(context: SnippetContext) -> str:
    """PSResourceGet, and PowerShellGet 2, which knows v2 addresses only."""
    name = _name(context)
    return (
        "# PowerShell 7.4 and later\n"
        f"Register-PSResourceRepository -Name {name} -Uri {context.base}index.json -Trusted\n"
        "# PowerShellGet 2\n"
        f"Register-PSRepository -Name {name} -SourceLocation {context.base}v2 -InstallationPolicy Trusted\n"
    )


def _name(context: SnippetContext) -> str:
    """A key that is also an XML element's name."""
    return "entrepot-" + "".join(c if c.isalnum() or c == "-" else "-" for c in f"{context.owner}-{context.repository}")


SNIPPETS: Mapping[str, Callable[[SnippetContext], str]] = {"nuget": nuget, "powershell": powershell}
