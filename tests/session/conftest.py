from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.codecs.helpers import IMPLS
from triocql.codecs.registry import Registry

if TYPE_CHECKING:
    from triocql._impl import Impl


@pytest.fixture(params=IMPLS)
def registry(request: pytest.FixtureRequest) -> Registry:
    """A registry of each implementation of rows that is there."""
    impl: Impl = request.param
    return Registry(impl=impl)
