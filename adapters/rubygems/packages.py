"""From a path to the gem that it means, and whose it is, before anything is looked up or asked."""

from typing import TYPE_CHECKING

from adapters.rubygems import names
from adapters.rubygems.names import GemName
from gateway.errors import FileUnknown, GatewayError, PackageUnknown, Unknown
from gateway.model import File, OwnerMode, Scope

if TYPE_CHECKING:
    from gateway.opened import OpenFile
    from gateway.web.call import Call

_MOST_READINGS = 8


def package_of(call: "Call", name: str) -> str:
    """The canonical name; raises PackageUnknown for what is none, or what this actor may not see."""
    if not names.is_name(name):
        raise PackageUnknown(f"not a valid name for a gem: {name[:80]!r}")
    call.package = name
    if not call.pull.may(name, Scope.READ):
        raise PackageUnknown(f"no gem {name}")
    return name


def readings_of(call: "Call", full: str) -> list[GemName]:
    """What `NAME-VERSION[-PLATFORM]` may mean here: where one name is hosted, only such names are looked at."""
    found = names.readings(full)[:_MOST_READINGS]
    hosted = [one for one in found if call.pull.owner_mode(one.name) is OwnerMode.HOSTED]
    return hosted or found


async def find_gem(call: "Call", full: str) -> tuple[GemName, File]:
    """The gem of that full name, from the same listing as the index; raises FileUnknown, or what a read raises."""
    trouble: GatewayError | None = None
    for one in readings_of(call, full):
        try:
            listing = await call.pull.listing(package_of(call, one.name))
        except Unknown:
            continue
        except GatewayError as error:
            trouble = trouble or error
            continue
        file = listing.find(f"{full}.gem")
        if file is not None and file.version == one.version:
            return one, file
    raise trouble or FileUnknown(f"no gem {full[:200]}")


async def open_gem(call: "Call", full: str) -> "OpenFile":
    """The bytes of that gem; raises as `find_gem`."""
    trouble: GatewayError | None = None
    for one in readings_of(call, full):
        try:
            return await call.pull.file(package_of(call, one.name), f"{full}.gem")
        except Unknown:
            continue
        except GatewayError as error:
            trouble = trouble or error
    raise trouble or FileUnknown(f"no gem {full[:200]}")
