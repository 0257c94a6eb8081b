"""The compiled twin of `murmur3`: the same name and the same behaviour."""

from triocql.metadata.murmur3 import murmur3 as murmur3
