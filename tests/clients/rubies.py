"""gem and bundler of two generations, told what to do as a person would tell them.

Generation 3 is Debian 12's RubyGems 3.3 with Bundler 2.3; generation 4 is RubyGems and Bundler 4, whose files stand in
the place of this machine's `/usr` for one run only (a mount that nobody else sees).
"""

import hashlib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from tests.clients.install import CLIENTS
from tests.clients.tools import Ran, World, execute, missing

GENERATIONS = (3, 4)

_NEWER = CLIENTS / "debian"
_IN_NEWER = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0/usr" /usr && exec "$@"', str(_NEWER))
_GEMSPEC = """\
Gem::Specification.new do |s|
  s.name = "{name}"
  s.version = "{version}"
  s.platform = "{platform}"
  s.summary = "{name} for tests"
  s.authors = ["Acme"]
  s.licenses = ["MIT"]
  s.homepage = "https://acme.example/{name}"
  s.required_ruby_version = ">= 2.7"
  s.files = ["lib/{module}.rb"]
{dependencies}end
"""


def gem(
    world: World,
    generation: int,
    *arguments: str | Path,
    source: str = "",
    key: str = "",
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
) -> Ran:
    """`gem`, with one source and nothing of RubyGems.org; `key` is the API key for what writes."""
    (world.home / ".gemrc").write_text(f":sources:\n- {source or 'http://127.0.0.1:9/'}\n:backtrace: false\n")
    more = {**({"GEM_HOST_API_KEY": key} if key else {}), **(environment or {})}
    return _run(world, generation, "gem", *arguments, more=more, stdin=stdin)


def gem_on_a_terminal(
    world: World, generation: int, *arguments: str, answers: str, environment: Mapping[str, str]
) -> Ran:
    """`gem` with somebody who types these answers: it asks nobody else."""
    return _run(world, generation, "gem", *arguments, more=environment, stdin=answers, has_terminal=True)


def bundle(
    world: World, generation: int, *arguments: str | Path, environment: Mapping[str, str] | None = None, retry: int = 0
) -> Ran:
    """`bundle` in the work folder, with gems and caches of this world only. `retry`: as `BUNDLE_RETRY`."""
    more = {
        "BUNDLE_PATH": str(world.work / "vendor"),
        "BUNDLE_USER_HOME": str(world.home / ".bundle"),
        "BUNDLE_APP_CONFIG": str(world.home / ".bundle-app"),
        "BUNDLE_SILENCE_ROOT_WARNING": "1",
        "BUNDLE_RETRY": str(retry),
        "BUNDLE_JOBS": "2",
        **(environment or {}),
    }
    return _run(world, generation, "bundle", *arguments, more=more)


def gemfile(world: World, source: str, *gems: str) -> None:
    """A Gemfile: each of `gems` is what follows the word `gem`, such as `"acme-tool", "~> 1.0"`."""
    lines = "".join(f"gem {wanted}\n" for wanted in gems)
    (world.work / "Gemfile").write_text(f'source "{source}"\n{lines}')


def build_gem(
    world: World,
    name: str = "acme-tool",
    version: str = "1.0.0",
    *,
    dependencies: Mapping[str, str] | None = None,
    platform: str = "ruby",
    content: str = "",
    generation: int = 3,
) -> Path:
    """A gem built by `gem build`; another `content` makes other bytes of the same name."""
    folder = world.work / f"source-{name}-{version}-{platform}"
    (folder / "lib").mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    (folder / "lib" / f"{module}.rb").write_text(f'# {content}\nputs "{name} {version}"\n')
    needed = "".join(f'  s.add_dependency "{other}", "{range_}"\n' for other, range_ in (dependencies or {}).items())
    text = _GEMSPEC.format(name=name, version=version, platform=platform, module=module, dependencies=needed)
    (folder / f"{name}.gemspec").write_text(text)
    built = _run(world, generation, "gem", "build", f"{name}.gemspec", "--output", "built.gem", cwd=folder).succeeded()
    assert version in built.stdout
    suffix = "" if platform == "ruby" else f"-{platform}"
    return (folder / "built.gem").rename(folder / f"{name}-{version}{suffix}.gem")


def push(world: World, generation: int, file: Path, host: str, key: str) -> Ran:
    """`gem push` to this repository."""
    return gem(world, generation, "push", "--host", host, file, key=key)


def locked(world: World) -> dict[str, str]:
    """The gems of Gemfile.lock and their versions."""
    text = (world.work / "Gemfile.lock").read_text()
    return dict(re.findall(r"^    (\S+) \(([^)]+)\)$", text, re.MULTILINE))


def checksums(world: World) -> dict[str, str]:
    """The CHECKSUMS section of Gemfile.lock, which Bundler 4 writes."""
    text = (world.work / "Gemfile.lock").read_text()
    return dict(re.findall(r"^  (\S+) \([^)]+\) sha256=([0-9a-f]{64})$", text, re.MULTILINE))


def says(world: World, generation: int, name: str) -> str:
    """What an installed gem of a bundle prints when it is required."""
    code = f"require '{name.replace('-', '_')}'"
    return bundle(world, generation, "exec", "ruby", "-e", code).succeeded().stdout.strip()


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _run(
    world: World,
    generation: int,
    name: str,
    *arguments: str | Path,
    cwd: Path | None = None,
    more: Mapping[str, str] | None = None,
    stdin: str = "",
    has_terminal: bool = False,
) -> Ran:
    root = Path("/") if generation == 3 else _NEWER
    if not (root / "usr" / "bin" / name).exists():
        missing(f"{name} {generation}")
    command = [*(_IN_NEWER if generation == 4 else ()), f"/usr/bin/{name}", *map(str, arguments)]
    if has_terminal:
        command = ["script", "--quiet", "--return", "--command", shlex.join(command), "/dev/null"]
    environment = {
        "GEM_HOME": str(world.home / f"gems{generation}"),
        "GEM_SPEC_CACHE": str(world.home / "specs"),
        "SOURCE_DATE_EPOCH": "1704164646",
        **(more or {}),
    }
    return execute(command, cwd or world.work, world.environment(environment), stdin=stdin, timeout=120)
