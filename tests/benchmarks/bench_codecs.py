"""What reading and binding costs: compiled, pure, and cassandra-driver; CPU time, medians.

python tests/benchmarks/bench_codecs.py
"""

from __future__ import annotations

import datetime as dt
import struct
import time
import uuid
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Any

from triocql.codecs.registry import Registry
from triocql.codecs.typeparser import parse_type
from triocql.protocol.types import NATIVE_TYPES, ColumnSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from triocql._impl import Impl

ROWS = 5000
IMPLS: tuple[Impl, ...] = ("cython", "python")
TYPES = ("uuid", "text", "int", "bigint", "double", "timestamp", "boolean", "list<int>", "decimal")
VALUES = (
    uuid.UUID(int=2**127 + 12345),
    "some text of a usual length",
    42,
    2**40,
    3.25,
    dt.datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=dt.UTC),
    True,
    [1, 2, 3],
    Decimal("1234.50"),
)


def columns_of(types: tuple[str, ...]) -> tuple[ColumnSpec, ...]:
    return tuple(ColumnSpec("shop", "items", f"c{i}", parse_type(text)) for i, text in enumerate(types))


def cpu(run: Callable[[], object], times: int, repeat: int = 7) -> float:
    """Return the CPU time of one call in microseconds."""
    samples = []
    for _ in range(repeat):
        start = time.process_time_ns()
        for _ in range(times):
            run()
        samples.append((time.process_time_ns() - start) / 1000 / times)
    return median(samples)


def page_body() -> bytes:
    row = Registry(impl="python").binder(columns_of(TYPES)).bind(VALUES)[2:]
    return row * ROWS


def read_rows(impl: Impl, types: tuple[str, ...], body: bytes) -> float:
    plan = Registry(impl=impl).plan(columns_of(types))
    return cpu(lambda: plan.page(body, 0, ROWS).rows(), 1) / ROWS


def read_rows_of_cassandra_driver(types: tuple[str, ...], body: bytes) -> float:
    """Read the same page with cassandra-driver: its compiled decoder, where it has one."""
    from cassandra import protocol

    handler = protocol.ProtocolHandler if protocol.ProtocolHandler is not None else protocol._ProtocolHandler
    message = rows_message(types, body)
    return cpu(lambda: handler.decode_message(4, {}, 0, 0, 0x08, message, None, None), 1, 5) / ROWS


def rows_message(types: tuple[str, ...], body: bytes) -> bytes:
    """Return the body of a RESULT of kind rows, with its metadata."""
    codes = {native.name: code for code, native in NATIVE_TYPES.items()}

    def option(name: str) -> bytes:
        if name == "list<int>":
            return struct.pack(">HH", 0x20, codes["int"])
        return struct.pack(">H", codes[name])

    def string(text: str) -> bytes:
        return struct.pack(">H", len(text)) + text.encode()

    specs = b"".join(string(f"c{i}") + option(name) for i, name in enumerate(types))
    head = struct.pack(">iii", 2, 1, len(types)) + string("shop") + string("items") + specs
    return head + struct.pack(">i", ROWS) + body


def main() -> None:
    body = page_body()
    print(f"a page of {ROWS} rows x {len(TYPES)} columns, {len(body) / 1e6:.1f} MB: CPU us a row")
    for impl in IMPLS:
        print(f"  triocql, {impl:8} {read_rows(impl, TYPES, body):7.2f}")
    print(f"  cassandra-driver {read_rows_of_cassandra_driver(TYPES, body):8.2f}")
    for i, name in enumerate(TYPES):
        one = Registry(impl="python").binder(columns_of((name,))).bind([VALUES[i]])[2:] * ROWS
        figures: list[Any] = [read_rows(impl, (name,), one) for impl in IMPLS]
        figures.append(read_rows_of_cassandra_driver((name,), one))
        print(f"    {name:12}" + "".join(f"{figure:8.3f}" for figure in figures))
    print("binding (int, text): CPU us")
    for impl in IMPLS:
        binder = Registry(impl=impl).binder(columns_of(("int", "text")))
        print(f"  triocql, {impl:8} {cpu(lambda: binder.bind((7, 'some text')), 20_000):7.3f}")  # noqa: B023
    print("binding the nine columns: CPU us")
    for impl in IMPLS:
        binder = Registry(impl=impl).binder(columns_of(TYPES))
        print(f"  triocql, {impl:8} {cpu(lambda: binder.bind(VALUES), 5_000):7.3f}")  # noqa: B023


if __name__ == "__main__":
    main()
