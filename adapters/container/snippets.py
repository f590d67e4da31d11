"""Configuration of container clients, to paste."""

from collections.abc import Callable, Mapping

from gateway.adapter import SnippetContext


def docker(context: SnippetContext) -> str:
    """Sign in, push and pull."""
    image = _image(context)
    return (
        f"docker login {context.host}   # user name: yours, password: a token\n"
        f"docker tag IMAGE {image}/IMAGE:TAG\n"
        f"docker push {image}/IMAGE:TAG\n"
        f"docker pull {image}/IMAGE:TAG\n"
        "\n"
        "# As a mirror of Docker Hub, in /etc/docker/daemon.json (Docker 25 or newer; before, give the repository a\n"
        "# host name or port of its own, and name that without a path):\n"
        f'{{"registry-mirrors": ["{context.base.rstrip("/")}"]}}\n'
    )


def podman(context: SnippetContext) -> str:
    """Sign in, push and pull; a mirror in registries.conf."""
    image = _image(context)
    return (
        f"podman login {context.host}\n"
        f"podman push IMAGE {image}/IMAGE:TAG\n"
        f"podman pull {image}/IMAGE:TAG\n"
        "\n"
        "# As a mirror of Docker Hub, in /etc/containers/registries.conf.d/entrepot.conf:\n"
        "[[registry]]\n"
        'prefix = "docker.io"\n'
        'location = "docker.io"\n'
        "[[registry.mirror]]\n"
        f'location = "{image}"\n{_insecure(context, "insecure = true")}'
    )


def containerd(context: SnippetContext) -> str:
    """A mirror in hosts.toml."""
    return (
        "# /etc/containerd/certs.d/docker.io/hosts.toml\n"
        f'[host."{_scheme(context)}://{context.host}/v2/container/{context.owner}/{context.repository}"]\n'
        '  capabilities = ["pull", "resolve"]\n'
        "  override_path = true\n"
    )


def skopeo(context: SnippetContext) -> str:
    """Copy images in and out."""
    image = _image(context)
    plain = _insecure(context, " --dest-tls-verify=false").strip("\n")
    return (
        f"skopeo login {context.host}\n"
        f"skopeo copy --all --preserve-digests{plain} docker://SOURCE docker://{image}/IMAGE:TAG\n"
        f"skopeo inspect docker://{image}/IMAGE:TAG\n"
    )


def helm(context: SnippetContext) -> str:
    """Charts as OCI artifacts."""
    image = _image(context)
    return (
        f"helm registry login {context.host}\n"
        f"helm push CHART-VERSION.tgz oci://{image}\n"
        f"helm pull oci://{image}/CHART --version VERSION\n"
    )


def _image(context: SnippetContext) -> str:
    return f"{context.host}/container/{context.owner}/{context.repository}"


def _scheme(context: SnippetContext) -> str:
    return context.base.partition("://")[0]


def _insecure(context: SnippetContext, line: str) -> str:
    return f"{line}\n" if _scheme(context) == "http" else ""


SNIPPETS: Mapping[str, Callable[[SnippetContext], str]] = {
    "docker": docker,
    "podman": podman,
    "containerd": containerd,
    "skopeo": skopeo,
    "helm": helm,
}
