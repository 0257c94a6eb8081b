from __future__ import annotations

import pytest

from triocql._impl import Impl
from triocql.codecs.registry import Registry

from .helpers import IMPLS


@pytest.fixture(params=IMPLS)
def impl(request: pytest.FixtureRequest) -> Impl:
    """Each implementation of rows and bind that is there."""
    chosen: Impl = request.param
    return chosen


@pytest.fixture
def registry(impl: Impl) -> Registry:
    return Registry(impl=impl)
