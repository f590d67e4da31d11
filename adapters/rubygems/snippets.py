"""Client configurations to paste. One source: with a second one a gem of either may be taken."""

from gateway.adapter import SnippetContext
from gateway.upstream.presets import PRESETS

_PUBLIC = PRESETS["rubygems"].url.rstrip("/")


def gem(context: SnippetContext) -> str:
    return (
        "# ~/.gemrc\n"
        f":sources:\n- {_with_token(context)}\n\n"
        "# publish; the key goes into ~/.gem/credentials (mode 0600), under the address as it is typed here\n"
        f'printf -- "---\\n{context.base}: ent_…\\n" >> ~/.gem/credentials && chmod 600 ~/.gem/credentials\n'
        f"gem push --host {context.base} x-1.0.gem\n"
        f"gem yank --host {context.base} x -v 1.0\n"
    )


def bundler(context: SnippetContext) -> str:
    credentials = "" if context.is_anonymous else f"bundle config set --global {context.base} user:ent_…\n"
    return (
        "# Gemfile\n"
        f'source "{context.base}"\n\n'
        f"# shell\n{credentials}"
        "# or, for Gemfiles that name the public registry\n"
        f"bundle config set --global mirror.{_PUBLIC} {context.base}\n"
    )


def _with_token(context: SnippetContext) -> str:
    if context.is_anonymous:
        return context.base
    scheme, _, rest = context.base.partition("://")
    return f"{scheme}://user:ent_…@{rest}"


SNIPPETS = {"gem": gem, "bundler": bundler}
