"""Real gems, built in memory, and the pages of a minimal gem registry for them.

`gem(dependencies={"rack": ">= 2.0"}).build("acme-tool", "1.0")` gives the bytes of a gem that `gem install` takes; what
the registry says of it is made by other code than the product's, from the same description.
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.artifacts import Artifact, Recipe, noise, tar_gz_of
from tests.fakes.registries import Page

_SECONDS = 1704164646
TEXT = "text/plain; charset=utf-8"


def gem(
    *,
    platform: str = "ruby",
    dependencies: Mapping[str, str] | None = None,
    development: Mapping[str, str] | None = None,
    required_ruby: str = ">= 0",
    required_rubygems: str = ">= 0",
    metadata: bytes | None = None,
    checksums: bytes | None = None,
    files: Mapping[str, bytes] | None = None,
    extra: Mapping[str, bytes] | None = None,
    size: int = 0,
    uploaded_at: str = "2024-01-02T03:04:06Z",
    summary: str = "for tests",
) -> Recipe:
    """A gem with one file. metadata, checksums: other YAML instead of the right one. extra: more entries of the tar."""

    def build(name: str, version: str) -> Artifact:
        runtime = dict(dependencies or {})
        about = metadata or gemspec_yaml(
            name, version, platform, runtime, dict(development or {}), required_ruby, required_rubygems, summary
        )
        content = {f"lib/{name}.rb": f"VERSION = {version!r}\n".encode(), **(files or {})}
        if size:
            content["ballast.bin"] = noise(size, f"{name} {version}")
        parts = {"metadata.gz": gzip.compress(about, mtime=0), "data.tar.gz": tar_gz_of(content)}
        sums = checksums or checksums_yaml(parts)
        label = version if platform == "ruby" else f"{version}-{platform}"
        body = tar_of({**parts, "checksums.yaml.gz": gzip.compress(sums, mtime=0), **(extra or {})})
        facts = {
            "label": label,
            "dependencies": runtime,
            "required_ruby": required_ruby,
            "required_rubygems": required_rubygems,
            "created_at": uploaded_at,
        }
        return Artifact(f"{name}-{label}.gem", body, about, facts)

    return Recipe(build, uploaded_at=uploaded_at)


def gemspec_yaml(
    name: str,
    version: str,
    platform: str,
    runtime: Mapping[str, str],
    development: Mapping[str, str],
    required_ruby: str,
    required_rubygems: str,
    summary: str,
) -> bytes:
    """metadata.gz as RubyGems 3.3 writes it."""
    lines = [
        "--- !ruby/object:Gem::Specification",
        f"name: {name}",
        "version: !ruby/object:Gem::Version",
        f"  version: {version}",
        f"platform: {platform}",
        "authors:\n- Ada",
        "bindir: bin",
        "cert_chain: []",
        "date: 2024-01-02 00:00:00.000000000 Z",
        "dependencies:" if runtime or development else "dependencies: []",
    ]
    for kind, wanted in (("runtime", runtime), ("development", development)):
        for other, requirement in wanted.items():
            lines += ["- !ruby/object:Gem::Dependency", f"  name: {other}"]
            lines += ["  requirement: " + _requirement(requirement, "    ")]
            lines += [f"  type: :{kind}", "  prerelease: false"]
            lines += ["  version_requirements: " + _requirement(requirement, "    ")]
    lines += [
        "description: ",
        "email: ada@example.com",
        "executables: []",
        f"files:\n- lib/{name}.rb",
        "homepage: https://example.com/",
        "licenses:\n- MIT",
        "metadata:\n  changelog_uri: https://example.com/changes",
        "require_paths:\n- lib",
        "required_ruby_version: " + _requirement(required_ruby, "  "),
        "required_rubygems_version: " + _requirement(required_rubygems, "  "),
        "requirements: []",
        "rubygems_version: 3.3.15",
        "signing_key: ",
        "specification_version: 4",
        f"summary: {summary}",
        "test_files: []",
        "",
    ]
    return "\n".join(lines).encode()


def _requirement(text: str, indent: str) -> str:
    lines = ["!ruby/object:Gem::Requirement", f"{indent}requirements:"]
    for clause in text.split(", "):
        operator, _, version = clause.partition(" ")
        lines += [
            f'{indent}- - "{operator}"',
            f"{indent}  - !ruby/object:Gem::Version",
            f"{indent}    version: '{version}'",
        ]
    return "\n".join(lines)


def checksums_yaml(parts: Mapping[str, bytes]) -> bytes:
    lines = ["---"]
    for algorithm in ("SHA256", "SHA512"):
        lines.append(f"{algorithm}:")
        lines += [f"  {name}: {hashlib.new(algorithm.lower(), body).hexdigest()}" for name, body in parts.items()]
    return "\n".join([*lines, ""]).encode()


def tar_of(content: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> bytes:
    """A plain ustar archive; pairs may name a file twice."""
    pairs = content.items() if isinstance(content, Mapping) else content
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, body in pairs:
            member = tarfile.TarInfo(path)
            member.size, member.mtime, member.mode = len(body), _SECONDS, 0o444
            archive.addfile(member, io.BytesIO(body))
    return target.getvalue()


# ── a registry ───────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass
class GemRegistry:
    """What a registry of gems says, as its documents: name → artifacts, oldest first."""

    gems: dict[str, list[Artifact]] = field(default_factory=dict)
    versions: bytes = b"created_at: 2024-01-01T00:00:00Z\n---\n"

    def put(self, name: str, artifacts: Iterable[Artifact]) -> None:
        """Replace everything of a name, and append what has changed to the list of versions."""
        found = list(artifacts)
        before = {artifact.facts["label"] for artifact in self.gems.get(name, ())}
        self.gems[name] = found
        after = [artifact.facts["label"] for artifact in found]
        labels = [x for x in after if x not in before] + [f"-{x}" for x in before if x not in after]
        mark = hashlib.md5(self.info(name)).hexdigest()
        self.versions += f"{name} {','.join(labels)} {mark}\n".encode()

    def info(self, name: str) -> bytes:
        return "\n".join(["---", *map(_info_line, self.gems[name]), ""]).encode()

    def names(self) -> bytes:
        return "\n".join(["---", *sorted(name for name, found in self.gems.items() if found), ""]).encode()


def text_page(body: bytes, **headers: str) -> Page:
    """A document of the compact index."""
    etag = f'"{hashlib.md5(body).hexdigest()}"'
    return Page(body, TEXT, {"ETag": etag, **headers})


def _info_line(artifact: Artifact) -> str:
    facts: Mapping[str, Any] = artifact.facts
    wanted = sorted(facts["dependencies"].items())
    dependencies = ",".join(f"{name}:{'&'.join(sorted(text.split(', ')))}" for name, text in wanted)
    asked = [f"checksum:{artifact.sha256}"]
    for key, word in (("required_ruby", "ruby"), ("required_rubygems", "rubygems")):
        if facts[key] != ">= 0":
            asked.append(f"{word}:{'&'.join(sorted(facts[key].split(', ')))}")
    asked.append(f"created_at:{facts['created_at']}")
    return f"{facts['label']} {dependencies}|{','.join(asked)}"
