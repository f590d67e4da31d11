import asyncio

from msgspec.structs import replace

from gateway.store.audit import Audit
from gateway.store.rows import AuditEntry, TrafficRow
from gateway.store.settings import Settings
from gateway.store.traffic import Traffic

ROW = TrafficRow(100, "pypi", "pypi/acme/tools", 10, 1, 7, 3, 5000, 900, 12.5, {"5": 8, "inf": 2})


async def test_audit_entries_are_read_newest_first_in_pages(database):
    audit = Audit(database)
    entries = [
        AuditEntry(float(at), "ann", "publish", "pypi/acme/tools", f"tool-{at}", {"n": at}, "10.0.0.1", "r1")
        for at in range(5)
    ]
    await audit.append(entries)

    first = await audit.list(2)
    rest = await audit.list(10, before=first[-1].id)

    assert [replace(entry, id=0) for entry in (*first, *rest)] == entries[::-1]


async def test_audit_entries_are_filtered(database):
    audit = Audit(database)
    await audit.append([AuditEntry(1.0, "ann", "publish", "a"), AuditEntry(2.0, "bob", "publish", "b", "tool")])

    assert [entry.actor for entry in await audit.list(actor="bob", action="publish", package="tool")] == ["bob"]
    assert [entry.actor for entry in await audit.list(repository="a")] == ["ann"]
    assert list(await audit.list(repository="a", actor="bob")) == []


async def test_old_audit_entries_expire(database):
    audit = Audit(database)
    await audit.append([])
    await audit.append([AuditEntry(1.0, "ann", "publish"), AuditEntry(2.0, "bob", "publish")])

    assert await audit.expire(2.0) == 1
    assert [entry.actor for entry in await audit.list()] == ["bob"]


async def test_traffic_of_several_workers_adds_up(database, elsewhere):
    await Traffic(database).add([ROW, replace(ROW, minute=101)])
    await Traffic(elsewhere).add([replace(ROW, buckets={"1": 1, "5": 1})])

    assert await Traffic(database).window(100) == [
        TrafficRow(100, "pypi", "pypi/acme/tools", 20, 2, 14, 6, 10000, 1800, 25.0, {"1": 1, "5": 9, "inf": 2}),
        replace(ROW, minute=101),
    ]
    assert await Traffic(database).window(102) == []


async def test_old_traffic_expires(database):
    traffic = Traffic(database)
    await traffic.add([])
    await traffic.add([ROW, replace(ROW, minute=101)])

    assert await traffic.expire(101) == 1
    assert [row.minute for row in await traffic.window(0)] == [101]


async def test_a_setting_is_kept_until_it_is_deleted(database):
    settings = Settings(database)
    assert settings.get("claim") is None

    await settings.put("claim", {"path": "x"})
    await settings.put("claim", ["y", 1])
    assert settings.get("claim") == ["y", 1]

    await settings.put("claim", None)
    assert settings.get("claim") is None


async def test_all_processes_agree_on_a_secret_that_each_would_make(database, elsewhere):
    chosen = await asyncio.gather(
        Settings(database).put_if_absent("secret", "one"), Settings(elsewhere).put_if_absent("secret", "two")
    )

    assert len(set(chosen)) == 1
    assert Settings(database).get("secret") == chosen[0]
