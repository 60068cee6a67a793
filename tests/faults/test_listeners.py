"""Broker, stream and refits listen on loopback addresses alone."""

from __future__ import annotations

import ipaddress
import sys
from contextlib import suppress
from pathlib import Path

from reelstream.settings import load
from reelstream.store.recommendations import RecommendationsStore
from tests.fixtures.processes import descendants, reelstream, stream_runs, wait_until
from tests.fixtures.seed import seed_ratings

LISTEN = "0A"


def test_nothing_of_up_listens_off_loopback(warehouse: Path) -> None:
    settings = load(warehouse=warehouse, refit_after_ratings=1, spark_master="local[*]")
    seed_ratings(settings)
    with reelstream(settings, "up") as process:
        wait_until(lambda: stream_runs(settings, process), "the stream runs", process)
        wait_until(RecommendationsStore(warehouse).current_or_none, "the first version is published", process)
        found = listening({process.pid, *descendants(process.pid)})
    assert len(found) >= 4  # of the broker: itself and its controller; of Spark: the way from Python to Java and back
    assert not [address for address in found if not is_loopback(address)]


def listening(pids: set[int]) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address of each socket on which one of the processes listens."""
    links = {link for pid in pids for link in _links(Path(f"/proc/{pid}/fd"))}
    found = []
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == LISTEN and f"socket:[{fields[9]}]" in links:
                found.append(_address(fields[1].partition(":")[0]))
    return found


def is_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:127.0.0.1 is how Java says 127.0.0.1
    return (mapped or address).is_loopback


def _links(directory: Path) -> set[str]:
    links = set()
    with suppress(FileNotFoundError):  # a process that has ended in between
        for descriptor in directory.iterdir():
            with suppress(FileNotFoundError):  # closed in between
                links.add(str(descriptor.readlink()))
    return links


def _address(hexadecimal: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel writes each word of four bytes in the machine's own order."""
    words = [bytes.fromhex(hexadecimal[at : at + 8]) for at in range(0, len(hexadecimal), 8)]
    return ipaddress.ip_address(b"".join(w[::-1] if sys.byteorder == "little" else w for w in words))
