"""Balancing policies: which node a request goes to, and which ones come after that."""

from __future__ import annotations

from triocql.policies.balancing.contract import BalancingPolicy, RoutedRequest
from triocql.policies.balancing.default import DefaultBalancing
from triocql.policies.balancing.filtered import FilteredBalancing, default_of
from triocql.policies.balancing.roundrobin import RoundRobin

__all__ = [
    "BalancingPolicy",
    "DefaultBalancing",
    "FilteredBalancing",
    "RoundRobin",
    "RoutedRequest",
    "default_of",
]
