"""Coordinates and paths of a Maven repository: what a path names, and the one spelling of a package. Pure.

A package is `groupId:artifactId`; a path is read by its position, never by what a segment looks like, since artifact
ids may begin with digits and versions may hold none. Layout: `G/A/V/A-V[-classifier].ext`, with `.` of the group as
`/`; metadata lies in the folders G, G/A and G/A/V (the last one for snapshots).
"""

import re
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from adapters.maven.versions import SNAPSHOT
from gateway.errors import Invalid

CHECKSUMS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}  # with the length of their hex
SIGNATURES = (".asc", ".sigstore.json", ".sigstore")
METADATA = "maven-metadata.xml"

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\Z")
_PACKAGE = re.compile(r"([A-Za-z0-9_.-]+)(?::([A-Za-z0-9_.-]+))?(?::[^:/]+)?\Z")
_UNSAFE = re.compile(r'[^\x20-\x7e]|[\\:"<>|?*]|\$\{')
_DROPPINGS = re.compile(
    r"maven-metadata-.+\.xml|_remote\.repositories|_maven\.repositories|.*\.lastUpdated|resolver-.+"
)
_STAMP = re.compile(r"([0-9]{8}\.[0-9]{6})-([0-9]{1,9})(?=[-.])")
_LONGEST = 250
_COMPOUND = ("tar", "cpio")


class Kind(StrEnum):
    """What a path names."""

    FILE = "file"
    METADATA = "metadata"  # of a group, an artifact, or both
    SNAPSHOTS = "snapshots"  # metadata of a snapshot version
    ROOT = "root"  # one of the well-known files at the root


class Spot(Struct, frozen=True):
    """What a path names. checksum: the algorithm, for the sidecar of what the rest says. folder: of a METADATA."""

    kind: Kind
    group: str = ""
    artifact: str = ""
    version: str = ""
    filename: str = ""
    checksum: str = ""

    @property
    def package(self) -> str:
        """The canonical name; for metadata the artifact that the folder would be."""
        return f"{self.group}:{self.artifact}" if self.group else self.artifact

    @property
    def folder_group(self) -> str:
        """The group that a metadata folder would be."""
        return f"{self.group}.{self.artifact}" if self.group else self.artifact

    @property
    def key(self) -> str:
        """The file's name within its package."""
        return f"{self.version}/{self.filename}"

    @property
    def is_snapshot(self) -> bool:
        return self.version.endswith(SNAPSHOT)

    @property
    def signed(self) -> str | None:
        """The name of the file that this one signs; None if it is no signature."""
        suffix = next((s for s in SIGNATURES if self.filename.endswith(s)), None)
        return None if suffix is None else self.filename.removesuffix(suffix)


class FileName(Struct, frozen=True):
    """What the name of an artifact says. stamp, number: of a unique snapshot, else empty and 0."""

    classifier: str
    extension: str
    stamp: str = ""
    number: int = 0

    @property
    def build(self) -> str:
        return f"{self.stamp}-{self.number}" if self.stamp else ""


def normalize(package: str) -> str:
    """`group:artifact` (a version behind it is dropped) or a group alone; raises Invalid. Case matters."""
    match = _PACKAGE.match(package)
    if match is None or len(package) > 600 or not is_group(match[1]) or (match[2] is not None and not is_id(match[2])):
        raise Invalid(f"not coordinates of a package (group:artifact): {package[:80]!r}")
    return match[1] if match[2] is None else f"{match[1]}:{match[2]}"


def is_id(text: str) -> bool:
    """Whether this may be an artifact's id."""
    return _ID.match(text) is not None


def is_group(text: str) -> bool:
    """Whether this may be a group's id: ids joined by single dots."""
    return len(text) <= 300 and all(_ID.match(part) is not None for part in text.split("."))


def split(package: str) -> tuple[str, str]:
    """Group and artifact of a canonical name; the artifact is empty for a group."""
    group, _, artifact = package.partition(":")
    return group, artifact


def folder_of(package: str) -> str:
    """The folder below a repository that belongs to a canonical name."""
    group, artifact = split(package)
    path = group.replace(".", "/")
    return f"{path}/{artifact}" if artifact else path


def parse_path(path: str) -> Spot | None:
    """What a decoded path below the repository names; None for one that can be nothing in this layout."""
    segments = path.split("/")
    if not all(_is_segment(segment) for segment in segments):
        return None
    if path == "archetype-catalog.xml" or segments[0] in {".meta", ".index"}:
        return Spot(Kind.ROOT, filename=path)
    filename, checksum = _without_checksum(segments[-1])
    folder = segments[:-1]
    if filename == METADATA:
        spot = _metadata(folder)
    elif path.removesuffix(f".{checksum}") == "archetype-catalog.xml":
        spot = Spot(Kind.ROOT, filename=filename)
    else:
        spot = _file(folder, filename)
    return None if spot is None else replace(spot, checksum=checksum)


def refusal(spot: Spot) -> str | None:
    """Why a path must not be written, though it can be read; None where it may be."""
    if _DROPPINGS.fullmatch(spot.filename):
        return f"{spot.filename} belongs to a local repository and is not published"
    if spot.kind is Kind.ROOT:
        return f"{spot.filename} is made by the gateway"
    if spot.kind is Kind.FILE and not spot.version.strip():
        return "a version is missing"
    return None


def parse_filename(spot: Spot) -> FileName | None:
    """Classifier, extension and build of an artifact; None for a file that is not named after its folder."""
    name = spot.filename
    for suffix in SIGNATURES:
        name = name.removesuffix(suffix)
    base = spot.version.removesuffix(SNAPSHOT)
    start = f"{spot.artifact}-{spot.version}"
    stamp, number = "", 0
    if name.startswith(start) and name[len(start) : len(start) + 1] in {"-", "."}:
        rest = name[len(start) :]
    elif spot.is_snapshot and name.startswith(f"{spot.artifact}-{base}-"):
        rest = name[len(spot.artifact) + len(base) + 2 :]
        match = _STAMP.match(rest)
        if match is None:
            return None
        stamp, number, rest = match[1], int(match[2]), rest[match.end() :]
    else:
        return None
    classifier, extension = _split_rest(rest)
    return FileName(classifier, extension + spot.filename[len(name) :], stamp, number)


def pom_name(artifact: str, version: str) -> str:
    """The key of a release's POM."""
    return f"{version}/{artifact}-{version}.pom"


def _split_rest(rest: str) -> tuple[str, str]:
    """`-classifier.ext` or `.ext`: the last dot divides, but for `tar.*` and `cpio.*`."""
    stem, _, extension = rest.rpartition(".")
    for compound in _COMPOUND:
        if stem == f".{compound}" or stem.endswith(f".{compound}"):
            stem, extension = stem[: -len(compound) - 1], f"{compound}.{extension}"
            break
    return stem.removeprefix("-").removeprefix("."), extension


def _without_checksum(filename: str) -> tuple[str, str]:
    stem, _, suffix = filename.rpartition(".")
    return (stem, suffix) if stem and suffix in CHECKSUMS else (filename, "")


def _metadata(folder: list[str]) -> Spot | None:
    if not folder:
        return None
    if folder[-1].endswith(SNAPSHOT) and len(folder) >= 3:
        *parents, artifact, version = folder
        kind = Kind.SNAPSHOTS
    else:
        *parents, artifact = folder
        version, kind = "", Kind.METADATA
    if not all(_is_group_segment(part) for part in parents) or not is_id(artifact):
        return None
    return Spot(kind, ".".join(parents), artifact, version, METADATA)


def _file(folder: list[str], filename: str) -> Spot | None:
    if len(folder) < 3:
        return None
    *parents, artifact, version = folder
    if not all(_is_group_segment(part) for part in parents) or not is_id(artifact):
        return None
    return Spot(Kind.FILE, ".".join(parents), artifact, version, filename)


def _is_segment(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text not in {".", ".."} and _UNSAFE.search(text) is None


def _is_group_segment(text: str) -> bool:
    """A dot would give two paths to one group."""
    return "." not in text and is_id(text)
