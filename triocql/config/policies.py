"""The policies of a session: what it decides by."""

from __future__ import annotations

from dataclasses import dataclass, field

from triocql.errors import OptionError
from triocql.policies.addresses import AddressTranslation
from triocql.policies.balancing import BalancingPolicy
from triocql.policies.reconnection import ReconnectionPolicy
from triocql.policies.retry import DefaultRetryPolicy, RetryPolicy
from triocql.policies.speculation import SpeculationPolicy
from triocql.policies.timestamping import TimestampPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """The policies of a session, where options are not enough: objects with a method or two, yours or of
    `triocql.policies`.

    They are called on the session's loop, and must not block. What the retry, timestamp and balancing policies raise
    fails the request that they were asked about; where the reconnection policy raises, or gives no number of seconds,
    `maximum` of `ReconnectionOptions` is waited, and the log says why.

    Attributes:
        retry: what follows when a node answers with an error, or the connection ends: see
            `triocql.policies.retry.RetryPolicy`.
        speculation: when another node gets a copy of an idempotent request that has no answer yet: see
            `triocql.policies.speculation.SpeculationPolicy`; None for never.
        balancing: which node a request goes to: see `triocql.policies.balancing.BalancingPolicy`; None for each in
            its turn.
        reconnection: how long to wait before a node is dialled again; None for delays that double, as the options
            `reconnection_base`, `reconnection_maximum` and `reconnection_jitter` say.
        timestamps: the time of writes that have none of their own: see `triocql.policies.timestamping`; None for the
            client's clock, strictly increasing.
        addresses: where a node is dialled that the cluster tells of: see `triocql.policies.addresses`; None for the
            address that it tells.

    Raises OptionError for what is no policy.

    >>> import triocql
    >>> from triocql.policies.retry import Decision
    >>> class Never:
    ...     def decide(self, error, *, idempotent, retries):
    ...         return Decision.RAISE
    >>> options = triocql.Options(policies=triocql.PolicyOptions(retry=Never()))
    """

    retry: RetryPolicy = field(default_factory=DefaultRetryPolicy)
    speculation: SpeculationPolicy | None = None
    balancing: BalancingPolicy | None = None
    reconnection: ReconnectionPolicy | None = None
    timestamps: TimestampPolicy | None = None
    addresses: AddressTranslation | None = None

    def __post_init__(self) -> None:
        _require(self.retry, "retry", "decide")
        if self.speculation is not None:
            _require(self.speculation, "speculation", "delay")
        if self.balancing is not None:
            _require(self.balancing, "balancing", "distance")
            _require(self.balancing, "balancing", "plan")
        if self.reconnection is not None:
            _require(self.reconnection, "reconnection", "delay")
        if self.timestamps is not None:
            _require(self.timestamps, "timestamps", "next")
        if self.addresses is not None:
            _require(self.addresses, "addresses", "translate")


def _require(policy: object, name: str, method: str) -> None:
    """Raise unless `policy` is an object with this method; a class is none, however often that is forgotten."""
    # A text has methods, too: one of them is translate().
    if isinstance(policy, (type, str)) or not callable(getattr(policy, method, None)):
        kind = (
            f"the class {policy.__name__}" if isinstance(policy, type) else f"of type {type(policy).__name__}"
        )
        raise OptionError(f"the {name} policy is {kind}; it has to be an object with a method {method}()")
