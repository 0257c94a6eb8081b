# cython: language_level=3, freethreading_compatible=False
"""The hash of Cassandra's default partitioner, compiled: `murmur3` is its pure twin."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


def murmur3(bytes key not None):
    """Return the first half of MurmurHash3, as Cassandra computes it."""
    return hashed(<const unsigned char*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
