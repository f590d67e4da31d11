"""What the container tests do with real clients: one world with docker, podman, buildah, skopeo, ctr and oras-py in it.

Images are built FROM scratch, or copied from folders that `tests.fakes.images` made; nothing is fetched from anywhere.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.clients.daemons import Containerd, Dockerd
from tests.clients.tools import Ran, World
from tests.fakes.images import Image, digest_of

_ANY = "--tls-verify=false"
_CHUNK = 2_000_000
_ORAS = """
import json, sys
import oras.client
order = json.loads(sys.argv[1])
client = oras.client.OrasClient(insecure=True, tls_verify=False, hostname=order["host"])
if order["token"]:
    client.auth.set_basic_auth(order["user"], order["token"])
if order["verb"] == "push":
    client.push(
        target=order["target"], files=[order["file"]], do_chunked=True, chunk_size=order["chunk"],
        disable_path_validation=True,
    )
else:
    print(json.dumps(client.pull(target=order["target"], outdir=order["file"])))
"""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the gateway and a token of theirs. The empty one is nobody."""

    user: str = ""
    token: str = ""

    @property
    def pair(self) -> str:
        """`user:token`, as skopeo and ctr want it."""
        return f"{self.user}:{self.token}"


class Machine:
    """A computer on which all the container tools are installed and nobody is logged in."""

    def __init__(self, world: World, docker: Dockerd | None = None, containerd: Containerd | None = None) -> None:
        """`docker`, `containerd`: the daemons that its docker and ctr speak to."""
        self.world = world
        self._docker = docker
        self._containerd = containerd
        (world.home / "auth.json").write_text("{}")
        (world.home / ".docker").mkdir()
        storage = world.root / "storage"
        (world.home / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{storage}/graph"\nrunroot = "{storage}/run"\n'
        )
        self.configure_registries("")

    def configure_registries(self, text: str) -> None:
        """registries.conf of podman, buildah and skopeo."""
        (self.world.home / "registries.conf").write_text(f"unqualified-search-registries = []\n{text}")

    # ── the clients ──────────────────────────────────────────────────────────────────────────────────────────────
    def docker(self, *arguments: str | Path, stdin: str = "", **environment: str) -> Ran:
        """The docker CLI, which speaks to the daemon."""
        if self._docker is None:
            raise RuntimeError("this machine has no dockerd")
        host = {"DOCKER_HOST": self._docker.address, "DOCKER_BUILDKIT": "0"}
        return self.world.run("docker", *arguments, stdin=stdin, environment={**host, **environment}, timeout=120)

    def podman(self, verb: str, *arguments: str | Path, stdin: str = "") -> Ran:
        return self.world.run("podman", verb, _ANY, *arguments, stdin=stdin, timeout=120)

    def buildah(self, *arguments: str | Path) -> Ran:
        return self.world.run("buildah", *arguments, timeout=120)

    def skopeo(self, *arguments: str | Path) -> Ran:
        return self.world.run("skopeo", *arguments, timeout=120)

    def ctr(self, *arguments: str | Path) -> Ran:
        """`ctr images …`."""
        if self._containerd is None:
            raise RuntimeError("this machine has no containerd")
        return self.world.run("ctr", "-a", self._containerd.address, "images", *arguments, timeout=120)

    def oras(self, verb: str, target: str, file: Path, account: Account) -> Ran:
        """oras-py: `push` a file in chunks of 2 MB, or `pull` into a folder."""
        host = target.partition("/")[0]
        order = {"verb": verb, "host": host, "target": target, "file": str(file), "chunk": _CHUNK}
        order |= {"user": account.user, "token": account.token}
        return self.world.run("oras", "-c", _ORAS, json.dumps(order), timeout=120)

    # ── what they often do ───────────────────────────────────────────────────────────────────────────────────────
    def context(self, files: Mapping[str, bytes], base: str = "scratch") -> Path:
        """A folder to build from: an image of these files on another one, or on nothing."""
        folder = self.world.work / f"context-{digest_of(repr((base, files)).encode())[7:19]}"
        folder.mkdir(exist_ok=True)
        lines = [f"FROM {base}", *(f"COPY {name} /{name}" for name in files), 'CMD ["/hello"]']
        (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
        for name, body in files.items():
            (folder / name).write_bytes(body)
        return folder

    def docker_login(self, authority: str, account: Account) -> Ran:
        return self.docker("login", "-u", account.user, "--password-stdin", authority, stdin=account.token)

    def podman_login(self, authority: str, account: Account) -> Ran:
        """Skopeo and buildah use it too."""
        return self.podman("login", "-u", account.user, "--password-stdin", authority, stdin=account.token)

    def copy(self, source: str, target: str, *options: str) -> Ran:
        """`skopeo copy` of everything, byte for byte."""
        plain = ["--src-tls-verify=false", "--dest-tls-verify=false", "--all", "--preserve-digests"]
        return self.skopeo("copy", *plain, *options, source, target)

    def digest(self, reference: str) -> str:
        """The digest that skopeo sees at this address."""
        seen = self.skopeo("inspect", _ANY, "--raw", f"docker://{reference}").succeeded()
        return digest_of(seen.stdout.encode())

    def folder_of(self, image: Image, name: str = "image") -> str:
        """An image on disk that skopeo can copy (its `dir:` transport); its address."""
        folder = self.world.work / name
        folder.mkdir()
        (folder / "version").write_text("Directory Transport Version: 1.1\n")
        for one in image.everything:
            plain = one.digest.partition(":")[2]
            (folder / ("manifest.json" if one is image else f"{plain}.manifest.json")).write_bytes(one.body)
            for digest, body in one.blobs.items():
                (folder / digest.partition(":")[2]).write_bytes(body)
        return f"dir:{folder}"


def digest_pushed(ran: Ran) -> str:
    """What `docker push` or `docker pull` said the digest is."""
    line = next(line for line in ran.stdout.splitlines() if "digest: " in line.lower())
    return line.lower().partition("digest: ")[2].split()[0]
