"""Client configurations to paste. One source: with a second one a gem of either may be taken."""

from gateway.adapter import SnippetContext
from gateway.upstream.presets import PRESETS

_PUBLIC = PRESETS["rubygems"].url.rstrip("/")


def gem(context: SnippetContext) -> str:
    host = context.base.rstrip("/")
    return (
        "# ~/.gemrc\n"
        f":sources:\n- {_with_token(context)}\n\n"
        "# publish: sign in once, with your name and a token as the password; or set GEM_HOST_API_KEY\n"
        f"RUBYGEMS_HOST={host} gem signin\n"
        f"gem push --host {host} x-1.0.gem\n"
        f"gem yank --host {host} x -v 1.0\n"
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
