"""Decisions that users may want to take themselves: small protocols without I/O, and their defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triocql._hints import old_name
from triocql._impl import compiled
from triocql.policies.addresses import AddressTranslation, Ec2MultiRegion, MappedAddresses
from triocql.policies.backoff import ExponentialBackoffRetry
from triocql.policies.balancing import (
    BalancingPolicy,
    DefaultBalancing,
    FilteredBalancing,
    RoundRobin,
    RoutedRequest,
)
from triocql.policies.downgrading import DowngradingConsistency
from triocql.policies.reconnection import ExponentialBackoff, ReconnectionPolicy
from triocql.policies.retry import Decision, DefaultRetryPolicy, NeverRetry, Retry, RetryPolicy
from triocql.policies.speculation import (
    ConstantSpeculation,
    NeverSpeculate,
    PercentileSpeculation,
    SpeculationPolicy,
)
from triocql.policies.throttling import NeverThrottle, Throttle, ThrottlingPolicy
from triocql.policies.timestamping import ServerTimestamps, TimestampPolicy

if TYPE_CHECKING or not compiled:
    from triocql.policies.timestamps import MonotonicTimestamps
else:
    from triocql.policies._timestamps import MonotonicTimestamps

__all__ = [
    "AddressTranslation",
    "BalancingPolicy",
    "ConstantSpeculation",
    "Decision",
    "DefaultBalancing",
    "DefaultRetryPolicy",
    "DowngradingConsistency",
    "Ec2MultiRegion",
    "ExponentialBackoff",
    "ExponentialBackoffRetry",
    "FilteredBalancing",
    "MappedAddresses",
    "MonotonicTimestamps",
    "NeverRetry",
    "NeverSpeculate",
    "NeverThrottle",
    "PercentileSpeculation",
    "ReconnectionPolicy",
    "Retry",
    "RetryPolicy",
    "RoundRobin",
    "RoutedRequest",
    "ServerTimestamps",
    "SpeculationPolicy",
    "Throttle",
    "ThrottlingPolicy",
    "TimestampPolicy",
]


if not TYPE_CHECKING:  # type checkers are to find names that there are not

    def __getattr__(name: str) -> Any:
        """Say what the policies of cassandra-driver have become."""
        raise old_name(__name__, name)
