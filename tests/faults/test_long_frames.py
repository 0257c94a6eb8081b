"""Frames that are long, or say that they are."""

from __future__ import annotations

import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.engine import wire
from tests.faults.invariants import peak, run
from tests.faults.scene import EVERYWHERE, SCHEMA, VERSIONS, Scene
from tests.faults.test_frames import MIB, ends_the_connection
from triocql.protocol.framing import Framing
from triocql.testing.server import CqlServer, Opcode, as_usual, oversize, rows

ROOT = Path(__file__).resolve().parents[2]
SIZES = pytest.mark.parametrize("size", [32 * MIB, 255 * MIB])


@EVERYWHERE
@VERSIONS
@pytest.mark.parametrize("length", [256 * MIB + 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_s24_body_that_is_declared_too_long(loop: str, version: int, length: int) -> None:
    async def row(scene: Scene) -> None:
        with peak(2 * MIB):
            reason = await ends_the_connection(scene, as_usual(), oversize(length))
        assert "limit" in reason or "negative" in reason

    run(loop, row, server={"versions": (version,)})


@SIZES
def test_s24_long_body_costs_at_most_three_times_its_length(size: int) -> None:
    receiver = Framing(4)
    receiver.receive(wire.frame(4, 0, Opcode.READY, b""))
    chunk = memoryview(bytes(128 * 1024))
    with peak(3 * size):
        receiver.receive(struct.pack(">BBhBi", 0x84, 0, 7, Opcode.RESULT, size))
        received = [frame for _ in range(size // len(chunk)) for frame in receiver.receive(chunk)]
    ((stream, _, _, body),) = received
    assert (stream, len(body)) == (7, size)


# The peak of the process since it began to run this program; `ru_maxrss` would be that of the test's, if it is higher.
READER = """
    import trio, triocql

    def peak():
        with open("/proc/self/status") as status:
            (line,) = [line for line in status if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    async def main():
        async with triocql.connect("{contact_point}", connections_local=1, timeout=120) as session:
            await session.execute("SELECT k FROM ks.t")
            before = peak()
            value = (await session.execute("SELECT v FROM ks.t")).scalar()
            print(peak() - before, len(value), value.count(b"x"))

    trio.run(main)
"""


@pytest.mark.parametrize(
    ("version", "size"),
    [(5, 32 * MIB), (4, 32 * MIB), (5, 255 * MIB), pytest.param(4, 255 * MIB, marks=pytest.mark.long)],
)
def test_s24_long_row_costs_its_reader_at_most_three_times_its_length(version: int, size: int) -> None:
    with CqlServer(1, schema=SCHEMA, unprimed="echo", versions=(version,)) as server:
        server.when("SELECT v FROM ks.t").then(rows({"v": "blob"}, [[b"x" * size]]))
        program = textwrap.dedent(READER).format(contact_point=server.contact_points[0])
        reader = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert reader.returncode == 0, reader.stderr
    cost, length, content = map(int, reader.stdout.split())
    assert length == content == size
    assert size < cost <= 3 * size, f"{cost / size:.2f} times"
