"""The reference nginx, the synthetic upstream and the product, each as a running process that is stopped by its id.

The reference nginx runs with `tcp_nopush off` (on, it stalls answers by 40 ms) and without an access log; the product
runs with its production defaults: authentication, access log, metrics and SQLite on.
"""

import os
import shutil
import signal
import subprocess
import time
import urllib.error
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from bench.load import LoadFailed
from bench.measure import SERVER_CPU, pinned
from bench.origin import Origin
from gateway.upstream.presets import PRESETS
from tests.clients.gateway import fetch, free_port

_HEAD = """\
{user}
worker_processes {workers};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  sendfile on; tcp_nopush off; tcp_nodelay on;
  keepalive_timeout 600; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 4g;
  default_type application/octet-stream;
  log_format path '$request_method $uri';
  access_log {log};
  {servers}
}}
"""


@dataclass(slots=True)
class Server:
    """A running server process on a loopback port. `seconds` is what it took until its first good answer."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    seconds: float = 0.0
    log: IO[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for what is left of its process group after ten seconds."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.log is not None:
            self.log.close()


def start(
    name: str,
    command: Sequence[str],
    folder: Path,
    port: int,
    *,
    probe: str = "/",
    cpu: str = SERVER_CPU,
    environment: dict[str, str] | None = None,
    timeout: float = 60,
) -> Server:
    """Start a server bound to `cpu` and wait until `probe` is answered with anything under 500."""
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / f"{name}.log").open("ab")
    began = time.perf_counter()
    process = subprocess.Popen(
        pinned(cpu, list(command)),
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    server = Server(name, port, process, log=log)
    while True:
        try:
            if fetch(server.url + probe)[0] < 500:
                server.seconds = time.perf_counter() - began
                return server
        except (OSError, urllib.error.URLError):
            pass
        if process.poll() is not None or time.perf_counter() - began > timeout:
            server.stop()
            raise LoadFailed(f"{name} did not start: {(folder / f'{name}.log').read_text()[-2000:]}")
        time.sleep(0.005)


def nginx(
    name: str, folder: Path, port: int, servers: str, *, cpu: str = SERVER_CPU, workers: int = 1, log: str = "off"
) -> Server:
    """An nginx of our own with these server blocks."""
    binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        raise LoadFailed("nginx is not installed: run `python -m tests.clients.install debian`")
    folder.mkdir(parents=True, exist_ok=True)
    user = "user root;" if os.geteuid() == 0 else ""
    text = _HEAD.format(folder=folder, servers=servers, workers=workers, user=user, log=log)
    (folder / "nginx.conf").write_text(text)
    return start(name, [binary, "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, port, cpu=cpu)


def origin(folder: Path, data: Origin, *, cpu: str) -> Server:
    """The synthetic upstream; its access log is `requests.log` in `folder`, one path a line."""
    block = f"""
  server {{
    listen 127.0.0.1:{data.port};
    location ~ ^/pypi/simple/[^/]+$ {{ return 301 $uri/; }}
    location ~ ^/pypi/simple/([^/]+)/$ {{ rewrite ^/pypi/simple/([^/]+)/$ /pages/$1.json last; }}
    location /pages/ {{
      internal; root {data.folder}; default_type application/vnd.pypi.simple.v1+json; types {{ }}
    }}
    location /pypi/files/ {{ alias {data.folder}/files/; types {{ }} }}
    location ~ ^/npm/([^/]+)/-/([^/]+)$ {{ alias {data.folder}/tarballs/{"small-1.0.0.tgz"}; types {{ }} }}
    location ~ ^/npm/([^/]+)$ {{ default_type application/json; alias {data.folder}/packuments/$1.json; types {{ }} }}
  }}"""
    return nginx("origin", folder, data.port, block, cpu=cpu, log=f"{folder}/requests.log path")


def static(folder: Path, root: Path, *, cpu: str = SERVER_CPU, workers: int = 1) -> Server:
    """The reference: files of `root` as they are, with the open-file cache."""
    port = free_port()
    listen = f"127.0.0.1:{port}" + (" reuseport" if workers > 1 else "")
    block = f"""
  open_file_cache max=1000 inactive=600s; open_file_cache_valid 600s;
  server {{ listen {listen} backlog=4096; root {root}; etag on; types {{ }} }}"""
    return nginx("nginx", folder, port, block, cpu=cpu, workers=workers)


def storing(folder: Path, upstream_port: int) -> Server:
    """The reference for cold files: proxy_store without any verification."""
    port = free_port()
    block = f"""
  server {{
    listen 127.0.0.1:{port}; root {folder}/store;
    location / {{
      proxy_pass http://127.0.0.1:{upstream_port}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_store on; proxy_store_access user:rw;
    }}
  }}"""
    return nginx("nginx", folder, port, block)


def receiving(folder: Path) -> Server:
    """The reference for uploads: nginx's WebDAV, which hashes and verifies nothing."""
    port = free_port()
    (folder / "uploads").mkdir(parents=True, exist_ok=True)
    block = f"""
  server {{
    listen 127.0.0.1:{port}; root {folder}/uploads; dav_methods PUT; create_full_put_path on;
    client_body_buffer_size 256k;
  }}"""
    return nginx("nginx", folder, port, block)


def caching(folder: Path, *, cpu: str) -> tuple[Server, str]:
    """The reference for installs: nginx as a caching proxy of the public registries. It, and its address as upstream.

    The second address is the upstream of every other server, so that a public registry is asked once for each document
    and nobody's first fill has a nearer upstream than another's. Packuments of the first name the public registry for
    tarballs, as npm itself replaces that host; those of the second name nginx. It has no list of all packages to give.
    """
    pypi, npm = PRESETS["pypi"], PRESETS["npm"]
    port, upstream = free_port(), free_port()
    common = f"""
    location = /simple/ {{ return 404; }}
    location /packages/ {{ gzip off; proxy_cache_key $uri; proxy_pass https://{pypi.hosts[0]}; }}
    location ~ /-/ {{ gzip off; proxy_cache_key $uri; proxy_pass {npm.url.rstrip("/")}; }}
    location /simple/ {{
      proxy_pass {pypi.url}; proxy_set_header Accept-Encoding "";
      sub_filter 'https://{pypi.hosts[0]}' 'http://127.0.0.1:$server_port'; sub_filter_once off; sub_filter_types *;
    }}"""
    packuments = f'proxy_set_header Accept-Encoding ""; proxy_pass {npm.url.rstrip("/")};'
    rewrite = f"sub_filter '{npm.url}' 'http://127.0.0.1:{upstream}/'; sub_filter_once off; sub_filter_types *;"
    block = f"""
  proxy_cache_path {folder}/cache keys_zone=bench:32m max_size=4g inactive=1d levels=1:2 use_temp_path=off;
  proxy_cache bench; proxy_cache_valid 200 1d; proxy_cache_lock on; proxy_ssl_server_name on; proxy_http_version 1.1;
  proxy_ignore_headers Cache-Control Expires Vary Set-Cookie; proxy_max_temp_file_size 2048m;
  proxy_cache_key $uri$http_accept;
  gzip on; gzip_types *; gzip_proxied any; gzip_comp_level 1;
  server {{ listen 127.0.0.1:{port}; {common} location / {{ {packuments} }} }}
  server {{ listen 127.0.0.1:{upstream}; {common} location / {{ {packuments} {rewrite} }} }}"""
    return nginx("nginx", folder, port, block, cpu=cpu), f"http://127.0.0.1:{upstream}/"
