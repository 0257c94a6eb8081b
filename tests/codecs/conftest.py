from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from triocql.codecs.registry import Registry

from .helpers import IMPLS

if TYPE_CHECKING:
    from triocql._impl import Impl


@pytest.fixture(params=IMPLS)
def impl(request: pytest.FixtureRequest) -> Impl:
    """Each implementation of rows and bind that is there."""
    chosen: Impl = request.param
    return chosen


@pytest.fixture
def registry(impl: Impl) -> Registry:
    return Registry(impl=impl)
