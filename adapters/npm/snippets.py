"""Client configuration to paste. Every address ends with a slash: without it npm finds no token (npm/cli#4908)."""

from collections.abc import Callable, Mapping

from gateway.adapter import SnippetContext

_TOKEN = "YOUR_TOKEN"  # noqa: S105 a place to fill in


def _key(context: SnippetContext) -> str:
    """The address without its scheme, as `.npmrc` keys have it: `//host/npm/acme/widgets/`."""
    return "//" + context.base.partition("://")[2]


def npm(context: SnippetContext) -> str:
    """`.npmrc` for npm; keep both trailing slashes."""
    lines = [f"registry={context.base}"]
    if not context.is_anonymous:
        lines.append(f"{_key(context)}:_authToken={_TOKEN}")
    lines += [
        f"# or only for one scope: @{context.owner}:registry={context.base}",
        f"# with an age gate, exempt your own packages: min-release-age-exclude[]=@{context.owner}/*",
    ]
    return _file(".npmrc", lines)


def pnpm(context: SnippetContext) -> str:
    """`.npmrc` and `pnpm-workspace.yaml`: pnpm 11 and later skip versions that are younger than a day."""
    lines = [f"registry={context.base}"]
    if not context.is_anonymous:
        lines.append(f"{_key(context)}:_authToken={_TOKEN}")
    gate = ["minimumReleaseAgeExclude:", f"  - '@{context.owner}/*'"]
    return _file(".npmrc", lines) + "\n" + _file("pnpm-workspace.yaml", gate)


def yarn_classic(context: SnippetContext) -> str:
    """`.npmrc` for yarn 1, which sends a token for unscoped packages only when told to, always."""
    lines = [f"registry={context.base}"]
    if not context.is_anonymous:
        lines += [f"{_key(context)}:_authToken={_TOKEN}", "always-auth=true"]
    return _file(".npmrc", lines)


def yarn(context: SnippetContext) -> str:
    """`.yarnrc.yml` for yarn 3 and later, which quarantine versions that are younger than a day."""
    lines = [f'npmRegistryServer: "{context.base}"']
    if not context.is_anonymous:
        lines += [
            "npmAlwaysAuth: true",
            "npmRegistries:",
            f'  "{_key(context)}":',
            "    npmAlwaysAuth: true",
            f'    npmAuthToken: "{_TOKEN}"',
        ]
    if context.base.startswith("http://"):
        lines += ["unsafeHttpWhitelist:", f'  - "{context.host.partition(":")[0]}"']
    lines += ["npmPreapprovedPackages:", f'  - "@{context.owner}/*"']
    return _file(".yarnrc.yml", lines)


def bun(context: SnippetContext) -> str:
    """`bunfig.toml`."""
    token = "" if context.is_anonymous else f', token = "{_TOKEN}"'
    return _file("bunfig.toml", ["[install]", f'registry = {{ url = "{context.base}"{token} }}'])


def deno(context: SnippetContext) -> str:
    """`.npmrc` and `deno.json`: deno refuses versions that are younger than its age gate."""
    lines = [f"registry={context.base}"]
    if not context.is_anonymous:
        lines.append(f"{_key(context)}:_authToken={_TOKEN}")
    gate = [
        "{",
        '  "minimumDependencyAge": {',
        '    "age": "P1D",',
        f'    "exclude": ["npm:@{context.owner}/*"]',
        "  }",
        "}",
    ]
    return _file(".npmrc", lines) + "\n" + _file("deno.json", gate)


def _file(name: str, lines: list[str]) -> str:
    comment = "//" if name.endswith(".json") else "#"
    return "\n".join([f"{comment} {name}", *lines]) + "\n"


SNIPPETS: Mapping[str, Callable[[SnippetContext], str]] = {
    "npm": npm,
    "pnpm": pnpm,
    "yarn (classic)": yarn_classic,
    "yarn (berry)": yarn,
    "bun": bun,
    "deno": deno,
}
