"""The compiled twin of `segments`: the same names and the same behaviour."""

from triocql.protocol.segments import SegmentDecoder as SegmentDecoder
from triocql.protocol.segments import encode_segments as encode_segments
