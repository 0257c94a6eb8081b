from triocql.protocol.frames import FrameDecoder as FrameDecoder
from triocql.protocol.frames import encode_frames as encode_frames
from triocql.protocol.segments import SegmentDecoder as SegmentDecoder
from triocql.protocol.segments import encode_segments as encode_segments
