"""What a repository with `strict: true` checks beyond what we rely on: parity with PyPI. Pure.

Private registries need local versions and `linux_*` wheels, hence this is not the default.
"""

import re
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from adapters.pypi import names
from adapters.pypi.archive import Contents
from adapters.pypi.metadata import Metadata
from gateway.errors import Invalid
from gateway.model import File

RELEASE_OPEN = timedelta(days=14)

_PLATFORM = re.compile(
    r"(?:any|win32|win_(?:amd64|arm64|ia64)|manylinux(?:1|2010|2014|_\d+_\d+)_\w+|musllinux_\d+_\d+_\w+"
    r"|macosx_\d+_\d+_\w+|ios_\d+_\d+_\w+|android_\d+_\w+|pyodide_\d+_\d+_wasm32|pyemscripten_\w+_wasm32"
    r"|linux_(?:armv6l|armv7l))\Z"
)
_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+\Z")
_CLASSIFIER = re.compile(r"[^:]+(?: :: [^:]+)+\Z")
_ENTRY_POINT = re.compile(r"[\w.-]+(?: [\w.-]+)*\s*=\s*[\w.]+(?::[\w.]+)?\s*(?:\[[\w\s,.-]*\])?\Z")
_CONTENT_TYPES = ("", "text/plain", "text/x-rst", "text/markdown")


def check_name(named: names.FileName, filename: str, package: str) -> None:
    """The file's name: normalised with `_`, a public version, platforms that run elsewhere too."""
    version = names.parse_version(named.version)
    if version is None or version.local is not None:
        raise Invalid(f"version: a local version ({named.version}) is not allowed in a strict repository")
    prefix = package.replace("-", "_")
    if named.kind == "sdist" and filename != f"{prefix}-{named.version}.tar.gz":
        raise Invalid(f"filename: expected {prefix}-{named.version}.tar.gz (PEP 625)")
    if named.kind == "bdist_wheel" and named.name != prefix:
        raise Invalid(f"filename: expected the name as {prefix}")
    for tag in named.tags[2].split(".") if named.tags else ():
        if not _PLATFORM.match(tag):
            raise Invalid(f"filename: the platform tag {tag[:80]} is not allowed in a strict repository")


def check_contents(named: names.FileName, contents: Contents, metadata: Metadata) -> None:
    """The archive: licence files where they are promised, entry points that parse, no sparse members."""
    if contents.is_sparse:
        raise Invalid("the sdist has sparse members")
    numbers = [int(part) for part in (metadata.text("metadata_version") or "").split(".") if part.isdecimal()]
    modern = numbers >= [2, 4]  # from then on the promised paths are paths
    folder = f"{contents.top}/licenses" if named.kind == "bdist_wheel" else contents.top
    for path in metadata.texts("license_file") if modern else ():
        if f"{folder}/{path}" not in contents.members:
            raise Invalid(f"license_file: the archive has no {folder}/{path}"[:200])
    points = contents.texts.get(f"{contents.top}/entry_points.txt", b"")
    for line in points.decode("utf-8", "replace").splitlines():
        text = line.split("#")[0].strip()
        if text and not (text.startswith("[") and text.endswith("]")) and not _ENTRY_POINT.match(text):
            raise Invalid(f"entry_points.txt: not an entry point: {text[:80]!r}")


def check_fields(metadata: Metadata) -> None:
    """The core metadata: what PyPI refuses in single fields."""
    summary = metadata.text("summary") or ""
    if len(summary) > 512 or "\n" in summary:
        raise Invalid("summary: expected one line of at most 512 characters")
    for field in ("author_email", "maintainer_email"):
        for address in (metadata.text(field) or "").split(","):
            bare = address.strip().rpartition("<")[2].rstrip(">")
            if bare and not _EMAIL.match(bare):
                raise Invalid(f"{field}: not an address: {bare[:80]!r}")
    for item in metadata.texts("project_url"):
        label, _, url = item.partition(",")
        if not label.strip() or len(label) > 32 or not _is_url(url.strip()):
            raise Invalid(f"project_urls: expected `Label, URL`, got {item[:80]!r}")
    for field in ("home_page", "download_url"):
        if (value := metadata.text(field)) is not None and not _is_url(value):
            raise Invalid(f"{field}: not a URL: {value[:80]!r}")
    for classifier in metadata.texts("classifier"):
        if not _CLASSIFIER.match(classifier) or classifier.startswith("Private ::"):
            raise Invalid(f"classifiers: not allowed: {classifier[:80]!r}")
    if metadata.text("license_expression") and metadata.text("license"):
        raise Invalid("license: not together with license_expression")
    _check_requirements(metadata)
    _check_description(metadata)


def check_release(files: Collection[File], named: names.FileName, filename: str, now: datetime) -> None:
    """The release so far: one sdist, and nothing new two weeks after its first file."""
    release = [file for file in files if names.same_version(file.version, named.version)]
    if named.kind == "sdist" and any(not file.filename.endswith(".whl") for file in release):
        raise Invalid(f"filename: {named.version} has an sdist already, {filename} would be a second one")
    times = [datetime.fromisoformat(file.uploaded_at) for file in release if file.uploaded_at]
    if times and now - min(times) > RELEASE_OPEN:
        raise Invalid(f"version: {named.version} is closed, its first file came over {RELEASE_OPEN.days} days ago")


def _check_requirements(metadata: Metadata) -> None:
    # Half of this adapter's share of a start, for repositories that few have.
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415

    for text in metadata.texts("requires_dist"):
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise Invalid(f"requires_dist: not a requirement: {text[:80]!r}") from error
        if requirement.url is not None:
            raise Invalid(f"requires_dist: a direct reference is not allowed: {text[:80]!r}")
    try:
        SpecifierSet(metadata.text("requires_python") or "")
    except InvalidSpecifier as error:
        raise Invalid("requires_python: not a version specifier") from error


def _check_description(metadata: Metadata) -> None:
    kind = (metadata.text("description_content_type") or "").split(";")[0].strip().lower()
    if kind not in _CONTENT_TYPES:
        raise Invalid(f"description_content_type: expected one of {', '.join(_CONTENT_TYPES[1:])}, got {kind[:80]!r}")
    if metadata.description.strip() and _rendered(kind, metadata.description) is None:
        raise Invalid(f"description: cannot be rendered as {kind or 'text/x-rst'}")


def _is_url(text: str) -> bool:
    try:
        split = urlsplit(text)
    except ValueError:
        return False
    return split.scheme in {"http", "https"} and bool(split.hostname)


def _rendered(kind: str, description: str) -> str | None:
    """The description as HTML, None where it cannot be rendered. Imported here: most repositories are not strict."""
    from readme_renderer import markdown, rst, txt  # noqa: PLC0415

    render: Callable[[str], str | None] = {"text/markdown": markdown.render, "text/plain": txt.render}.get(
        kind, rst.render
    )
    return render(description)
