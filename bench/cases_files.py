"""Large bodies: files in the cache, cold files, many clients on one cold file, slow clients, and uploads.

The goals: 0.9 of nginx at 1.2 times its CPU for files in the cache; 0.6 of nginx's proxy_store for cold
ones, which here includes sha256 and an fsync; one upstream request however many clients ask; memory for slow clients
that does not grow with the file.
"""

import time

from bench import servers
from bench.arena import PYPI_ACCEPT, Arena, file_of, get
from bench.load import Flow, Target, download, flow, interleaved, middle, read, start_reader, upload
from bench.measure import memory
from bench.report import Check, Outcome
from tests.clients.gateway import WRITE
from tests.fakes.artifacts import Artifact, wheel

PRODUCT = "product"
_GIGABYTE = 1_000_000_000
_SLOW_CLIENTS = 200
_SLOW_RATE = 160_000
_BOUNDARY = "7f3c0d2b5a"


def ten_megabytes(arena: Arena, outcome: Outcome) -> None:
    """A 10 MB file in the cache, four connections."""
    _warm(arena, outcome, "ten", 10_000_000, connections=4, count=100)


def gigabyte(arena: Arena, outcome: Outcome) -> None:
    """A 1 GB file in the cache, one connection."""
    _warm(arena, outcome, "giga", _GIGABYTE, connections=1, count=2)


def cold(arena: Arena, outcome: Outcome) -> None:
    """A 1 GB file that is not in the cache, from a loopback upstream, against nginx's proxy_store."""
    arena.origin()
    folder = arena.folder / "storing-nginx"
    flows: dict[str, list[Flow]] = {"nginx": [], PRODUCT: []}
    with servers.storing(folder, arena.data.port) as store:
        for number in range(2 * arena.rounds + 1):
            target, filename = _fresh(arena, f"cold-{number}", _GIGABYTE, 100 + number)
            stored = Target("nginx", store.pid, f"{store.url}/pypi/files/{filename}", {})
            for one in (stored, target):
                arena.warm_memory(_GIGABYTE)
                flows[one.server].append(download(one, 1, 1))
                arena.say(f"  round {number + 1} {one.server}: {flows[one.server][-1]}")
            arena.data.remove_file(filename)
            (folder / "store" / "pypi" / "files" / filename).unlink(missing_ok=True)
            arena.drop_cached(_GIGABYTE)
    ours, nginx = _medians(outcome, flows, "1 GB cold")
    outcome.checks.append(Check("GB/s ÷ nginx proxy_store", ours.speed / nginx.speed, 0.60, 0.65))
    outcome.checks.append(Check("seconds to the first byte", ours.first, 10.0, 1.0, at_least=False, unit="s"))


def followers(arena: Arena, outcome: Outcome) -> None:
    """Eight clients on one cold file against one client on one."""
    size = 256_000_000
    single: list[Flow] = []
    eight: list[Flow] = []
    asked = 0
    for number in range(2 * arena.rounds + 1):
        for clients, flows in ((1, single), (8, eight)):
            target, filename = _fresh(arena, f"follow-{number}-{clients}", size, 200 + 10 * number + clients)
            arena.warm_memory(size)
            flows.append(download(target, clients, clients, discard=1))
            arena.say(f"  round {number + 1} {clients} clients: {flows[-1]}")
            asked = max(asked, arena.upstream_requests(f"/pypi/files/{filename}"))
            arena.data.remove_file(filename)
    one, all_ = middle([flow.speed for flow in single]), middle([flow.speed for flow in eight])
    outcome.median("1 client, cold", f"{one:.2f} GB/s")
    outcome.median("8 clients, cold", f"{all_:.2f} GB/s in sum")
    outcome.checks.append(Check("upstream requests for one cold file", asked, 1, at_least=False, unit=""))
    outcome.checks.append(Check("sum of 8 clients ÷ 1 client", all_ / one, 3.0, 4.0))


def slow(arena: Arena, outcome: Outcome) -> None:
    """200 clients that read a 100 MB file at 160 KB/s each: how much memory they hold."""
    target, _ = _fresh(arena, "slow", 100_000_000, 300)
    read(target, connections=1, count=1)
    reference = arena.reference("slow", b"")
    with (arena.public / "slow").open("wb") as file:
        for _ in range(100):
            file.write(bytes(1_000_000))
    for one in (reference, target):
        grown = _growth(arena, one) / _SLOW_CLIENTS / 1000
        outcome.median(f"{one.server}, {_SLOW_CLIENTS} slow clients on a cached file", f"{grown:.0f} KB a client")
        if one.server == PRODUCT:
            outcome.checks.append(Check("memory per slow client", grown, 50, 20, at_least=False, unit="KB"))
    missed, _ = _fresh(arena, "slow-cold", 100_000_000, 301)
    grown = _growth(arena, missed) / _SLOW_CLIENTS / 1000
    outcome.median(f"{PRODUCT}, {_SLOW_CLIENTS} slow clients on a cold file", f"{grown:.0f} KB a client")
    outcome.checks.append(Check("memory per slow client, cold file", grown, 250, 164, at_least=False, unit="KB"))


def uploads(arena: Arena, outcome: Outcome) -> None:
    """A wheel of 100 MB published with its digest, against nginx's WebDAV."""
    flows: dict[str, list[Flow]] = {"nginx": [], PRODUCT: []}
    gateway = arena.gateway()
    token = gateway.token("bench", WRITE)
    form = {"Authorization": f"Bearer {token}", "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    published = Target(PRODUCT, gateway.pid, gateway.base("pypi/bench/py") + "legacy/", form)
    with servers.receiving(arena.folder / "receiving-nginx") as receiver:
        for number in range(2 * arena.rounds + 1):
            artifact = wheel(size=100_000_000).build("uploaded", f"1.{number}")
            file = arena.folder / artifact.filename
            file.write_bytes(artifact.body)
            put = Target("nginx", receiver.pid, f"{receiver.url}/{artifact.filename}", {})
            arena.warm_memory(300_000_000)
            flows["nginx"].append(upload(put, "PUT", file))
            arena.warm_memory(300_000_000)
            flows[PRODUCT].append(upload(published, "POST", file, *_form(artifact, f"1.{number}")))
            for server, measured in flows.items():
                arena.say(f"  round {number + 1} {server}: {measured[-1]}")
            file.unlink()
    ours, nginx = _medians(outcome, flows, "upload of 100 MB")
    outcome.checks.append(Check("GB/s ÷ nginx WebDAV", ours.speed / nginx.speed, 0.50, 0.60))


def _form(artifact: Artifact, version: str) -> tuple[str, str]:
    """What stands before and after the file in an upload of the legacy API."""
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": "uploaded",
        "version": version,
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "sha256_digest": artifact.sha256,
    }
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="{artifact.filename}"\r\n\r\n'
    return "".join(parts) + file, f"\r\n--{_BOUNDARY}--\r\n"


def _warm(arena: Arena, outcome: Outcome, package: str, size: int, *, connections: int, count: int) -> None:
    target, filename = _fresh(arena, package, size, 400 + connections)
    read(target, connections=1, count=1)
    (arena.public / package).write_bytes((arena.data.folder / "files" / filename).read_bytes())
    server = arena.static()
    reference = Target("nginx", server.pid, f"{server.url}/{package}", {})
    read(reference, connections=1, count=1)
    flows = interleaved([reference, target], arena.rounds, lambda one: flow(one, connections, count), arena.say)
    ours, nginx = _medians(outcome, flows, f"{size // 1_000_000} MB, c{connections}")
    outcome.checks.append(Check(f"GB/s ÷ nginx, c{connections}", ours.speed / nginx.speed, 0.90))
    what = f"CPU per GB ÷ nginx, c{connections}"
    outcome.checks.append(Check(what, ours.cpu / nginx.cpu, 1.2, at_least=False))


def _fresh(arena: Arena, package: str, size: int, seed: int) -> tuple[Target, str]:
    """A file that the product has not seen, its page being warm; and its filename."""
    arena.origin()
    filename = arena.data.add_file(package, size, seed)
    page = arena.product(f"/pypi/bench/py/simple/{package}/", PYPI_ACCEPT)
    get(page)
    return file_of(page, filename), filename


def _growth(arena: Arena, target: Target) -> int:
    """Bytes that the server's memory grew by at most while the slow clients were reading."""
    before = peak = memory(target.pid)
    process = start_reader(target, connections=_SLOW_CLIENTS, count=_SLOW_CLIENTS, rate=_SLOW_RATE, seconds=10)
    while process.poll() is None:
        peak = max(peak, memory(target.pid))
        time.sleep(0.5)
    out, _ = process.communicate()
    arena.say(f"  {target.server}: {before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at most; {out.strip()}")
    return peak - before


def _medians(outcome: Outcome, flows: dict[str, list[Flow]], what: str) -> tuple[Flow, Flow]:
    """The medians of the product and of nginx."""
    names = ("speed", "cpu", "first", "seconds", "other")
    found = {
        server: Flow(*(middle([getattr(one, name) for one in measured]) for name in names))
        for server, measured in flows.items()
    }
    for server, one in found.items():
        outcome.median(f"{server}, {what}", f"{one.speed:.2f} GB/s, {one.cpu:.2f} CPU-s per GB")
    return found[PRODUCT], found["nginx"]
