"""Which elements of a vector stand side by side without their lengths.

Which types count as fixed is for the server to say: boolean, int, bigint, float, double, timestamp, uuid,
timeuuid, and vectors of them; not tinyint, smallint, date and time, in spite of their fixed widths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.protocol.types import NativeType, VectorType

if TYPE_CHECKING:
    from triocql.protocol.types import CqlType

_FIXED = {
    "boolean": 1,
    "int": 4,
    "float": 4,
    "bigint": 8,
    "double": 8,
    "timestamp": 8,
    "uuid": 16,
    "timeuuid": 16,
}


def fixed_width(cql_type: CqlType) -> int:
    """Return how many bytes each element of this type has in a vector; 0 if each comes after its length."""
    match cql_type:
        case NativeType(name):
            return _FIXED.get(name, 0)
        case VectorType(element, dimension):
            return fixed_width(element) * dimension
    return 0
