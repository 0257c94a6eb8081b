"""Durations in Parquet, which has no type for them: structs of months, days and nanoseconds, wherever they are."""

from __future__ import annotations

from typing import Any


def storable(pa: Any, schema: Any) -> Any:
    """Return a schema of pyarrow in which each duration is a struct."""
    return pa.schema([field.with_type(_storable(pa, field.type)) for field in schema])


def stored(pa: Any, batch: Any, schema: Any) -> Any:
    """Return a batch as one of what `storable` has made of its schema."""
    columns = [_stored(pa, column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _storable(pa: Any, kind: Any) -> Any:
    types = pa.types
    if types.is_interval(kind):
        return pa.struct({"months": pa.int32(), "days": pa.int32(), "nanoseconds": pa.int64()})
    if types.is_map(kind):
        return pa.map_(_storable(pa, kind.key_type), _storable(pa, kind.item_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(_storable(pa, kind.value_type), kind.list_size)
    if types.is_list(kind):
        return pa.list_(_storable(pa, kind.value_type))
    if types.is_struct(kind):
        return pa.struct([field.with_type(_storable(pa, field.type)) for field in kind])
    return kind


def _stored(pa: Any, array: Any, kind: Any) -> Any:
    """Return an array, which begins where its buffers do, as one of another type."""
    types = pa.types
    if array.type == kind:
        return array
    if types.is_interval(array.type):
        return pa.array(array.to_pylist(), kind)
    buffers = array.buffers()
    if types.is_struct(array.type):
        fields = [_stored(pa, array.field(i), field.type) for i, field in enumerate(kind)]
        return pa.Array.from_buffers(kind, len(array), buffers[:1], children=fields)
    if types.is_fixed_size_list(array.type):
        inner = _stored(pa, array.values, kind.value_type)
        return pa.Array.from_buffers(kind, len(array), buffers[:1], children=[inner])
    if types.is_map(array.type):
        keys, items = _stored(pa, array.keys, kind.key_type), _stored(pa, array.items, kind.item_type)
        inner = pa.StructArray.from_arrays([keys, items], fields=[kind.key_field, kind.item_field])
    else:
        inner = _stored(pa, array.values, kind.value_type)
    return pa.Array.from_buffers(kind, len(array), buffers[:2], children=[inner])
