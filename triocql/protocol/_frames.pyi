"""The compiled twin of `frames`: the same names and the same behaviour."""

from triocql.protocol.frames import FrameDecoder as FrameDecoder
from triocql.protocol.frames import encode_frames as encode_frames
