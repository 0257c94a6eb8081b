from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from triocql.protocol import frames, framing, segments

if TYPE_CHECKING:
    from tests.protocol.implementation import Implementation

PURE = SimpleNamespace(
    FrameDecoder=frames.FrameDecoder,
    encode_frames=frames.encode_frames,
    SegmentDecoder=segments.SegmentDecoder,
    encode_segments=segments.encode_segments,
)


def implementations() -> dict[str, object]:
    """The pure modules, and the compiled ones where they are built."""
    if find_spec("triocql.protocol._frames") is None:
        return {"python": PURE}
    from triocql.protocol import _frames, _segments

    compiled = SimpleNamespace(
        FrameDecoder=_frames.FrameDecoder,
        encode_frames=_frames.encode_frames,
        SegmentDecoder=_segments.SegmentDecoder,
        encode_segments=_segments.encode_segments,
    )
    return {"python": PURE, "cython": compiled}


IMPLEMENTATIONS = implementations()


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def impl(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Implementation:
    """One implementation of frames and segments, which `Framing` uses, too."""
    chosen = IMPLEMENTATIONS[request.param]
    for name in vars(PURE):
        monkeypatch.setattr(framing, name, getattr(chosen, name))
    return cast("Implementation", chosen)
