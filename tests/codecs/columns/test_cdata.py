"""What is handed over by Arrow's C data interface: as often as one likes, in parts, and released in any order."""

from __future__ import annotations

import ctypes
import gc
import itertools
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from tests.codecs.golden import PAGES
from tests.codecs.helpers import IMPLS, columns
from triocql._impl import Impl
from triocql.codecs.columns import decoder_of
from triocql.codecs.registry import Registry

EVERY_IMPL = pytest.mark.parametrize("impl", IMPLS)
COMPILED = pytest.mark.skipif("cython" not in IMPLS, reason="there is nothing compiled")
TYPES = ("int", "text", "list<text>", "map<text, int>", "tuple<int, text>", "vector<float, 2>")
ROW: list[Any] = [1, "one", ["a", "b"], {"k": 1}, (1, "x"), [1.0, 2.0]]


class ArrowArray(ctypes.Structure):
    """Arrow's struct of this name."""


ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(ArrowArray))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    ("private_data", ctypes.c_void_p),
]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


def array_in(capsule: object) -> ArrowArray:
    return ArrowArray.from_address(_pointer(capsule, b"arrow_array"))


def release(array: ArrowArray) -> None:
    if array.release:
        array.release(ctypes.addressof(array))
        assert not array.release


def moved(array: ArrowArray) -> ArrowArray:
    """Take an array out of where it is, as consumers do: its bits are copied, and the original counts as released."""
    out = ArrowArray()
    ctypes.memmove(ctypes.addressof(out), ctypes.addressof(array), ctypes.sizeof(ArrowArray))
    ctypes.memset(ctypes.addressof(array) + ArrowArray.release.offset, 0, ctypes.sizeof(ctypes.c_void_p))
    return out


def made(impl: Impl, rows: int = 100) -> Any:
    cols = columns(*TYPES)
    plan = Registry(impl=impl).plan(cols)
    body = Registry().binder(cols).bind(ROW)[2:] * rows
    return decoder_of(plan, (), None).batch(plan.page(body, 0, rows))


@EVERY_IMPL
def test_a_batch_is_exported_twice_and_outlives_what_made_it(impl: Impl) -> None:
    batch = made(impl)
    first, second = pa.record_batch(batch), pa.record_batch(batch)
    del batch
    gc.collect()
    assert first == second
    del first
    second.validate(full=True)
    assert second.column(2).to_pylist() == [["a", "b"]] * 100


@COMPILED
def test_children_are_moved_out_and_released_in_any_order() -> None:
    for order in itertools.permutations(range(4)):
        batch = made("cython", 3)
        _, capsule = batch.__arrow_c_array__()
        parent = array_in(capsule)
        parts = [parent, moved(parent.children[1].contents), moved(parent.children[3].contents)]
        parts.append(moved(parts[2].children[0].contents.children[0].contents))  # the keys of the map
        del batch
        for i in order:
            release(parts[i])
        del capsule


@COMPILED
def test_what_is_moved_out_keeps_its_bytes() -> None:
    _, capsule = made("cython", 3).__arrow_c_array__()
    texts = moved(array_in(capsule).children[1].contents)
    del capsule
    gc.collect()
    assert texts.length == 3
    assert ctypes.string_at(texts.buffers[2], 9) == b"oneoneone"
    release(texts)


@COMPILED
def test_buffers_are_aligned_and_padded() -> None:
    _, capsule = made("cython", 3).__arrow_c_array__()
    array = array_in(capsule)
    for i in range(array.n_children):
        child = array.children[i].contents
        assert child.offset == 0
        assert all((child.buffers[j] or 0) % 64 == 0 for j in range(child.n_buffers))


@EVERY_IMPL
def test_capsules_that_nobody_takes_are_released(impl: Impl) -> None:
    batch = made(impl)
    for _ in range(3):
        batch.__arrow_c_array__(), batch.__arrow_c_stream__()
    before = sys.getrefcount(batch)
    batch.__arrow_c_stream__()
    assert sys.getrefcount(batch) == before


@EVERY_IMPL
def test_a_schema_that_is_asked_for_is_only_a_wish(impl: Impl) -> None:
    batch = made(impl)
    wish, _ = batch.__arrow_c_array__()
    schema, array = batch.__arrow_c_array__(wish)
    assert pa.RecordBatch._import_from_c_capsule(schema, array) == pa.record_batch(batch)


@EVERY_IMPL
def test_a_stream_pulls_one_batch_after_the_other(impl: Impl) -> None:
    batches = [pa.record_batch(made(impl, n)) if impl == "python" else made(impl, n) for n in (2, 0, 3)]
    pulled = []

    def pull() -> Iterator[Any]:
        for batch in batches:
            pulled.append(batch)
            yield batch

    cols = columns(*TYPES)
    decoder = decoder_of(Registry(impl=impl).plan(cols), (), None)

    class Shown:
        def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
            return decoder.stream(pull())

    reader = pa.RecordBatchReader.from_stream(Shown())
    assert reader.schema == pa.record_batch(batches[0]).schema
    assert pulled == []
    assert len(reader.read_next_batch()) == 2
    assert len(pulled) == 1
    assert [len(batch) for batch in reader] == [0, 3]


@EVERY_IMPL
def test_an_error_within_a_stream_reaches_its_reader(impl: Impl) -> None:
    def fail() -> Iterator[Any]:
        raise RuntimeError("the node is gone")
        yield

    decoder = decoder_of(Registry(impl=impl).plan(columns("int")), (), None)

    class Shown:
        def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
            return decoder.stream(fail())

    reader = pa.RecordBatchReader.from_stream(Shown())
    with pytest.raises((OSError, RuntimeError, ValueError), match="the node is gone"):
        reader.read_next_batch()


@COMPILED
def test_others_run_while_a_page_is_read() -> None:
    """No thread gets the interpreter from one that keeps it, here: only from one that lets go of it."""
    plan = Registry(impl="cython").plan(columns("int"))
    page = plan.page(b"\0\0\0\4\0\0\0\1" * 200_000, 0, 200_000)
    decoder = decoder_of(plan, (), None)
    gate, ran = threading.Lock(), []
    gate.acquire()

    def run() -> None:
        gate.acquire()
        ran.append(True)

    other = threading.Thread(target=run)
    other.start()
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1000)
        gate.release()
        attempts = 0
        while not ran and attempts < 2000:
            decoder.batch(page)
            attempts += 1
        assert ran
    finally:
        sys.setswitchinterval(interval)
        other.join()


def test_golden_pages_can_be_exported_by_themselves() -> None:
    """The stream of a batch alone is that batch."""
    for impl, page in itertools.product(IMPLS, PAGES):
        plan = Registry(impl=impl).plan(page.columns)
        batch = decoder_of(plan, (), None).batch(plan.page(page.body, 0, page.row_count))
        assert pa.RecordBatchReader.from_stream(batch).read_all().to_batches() == [pa.record_batch(batch)]
