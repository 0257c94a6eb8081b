"""The policies of a session: what it decides by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from triocql._hints import PROFILE, hinted
from triocql.errors import OptionError
from triocql.policies.addresses import AddressTranslation
from triocql.policies.balancing import BalancingPolicy
from triocql.policies.checks import is_integer, require
from triocql.policies.reconnection import ReconnectionPolicy
from triocql.policies.retry import DefaultRetryPolicy, RetryPolicy
from triocql.policies.speculation import SpeculationPolicy
from triocql.policies.throttling import ThrottlingPolicy
from triocql.policies.timestamping import TimestampPolicy

_METHODS = {
    "retry": ("decide",),
    "speculation": ("delay",),
    "balancing": ("distance", "plan"),
    "reconnection": ("delay",),
    "timestamps": ("next",),
    "throttling": ("turn",),
    "addresses": ("translate",),
}


@hinted(PROFILE)
@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """The policies of a session, where options are not enough: objects with a method or two, yours or of
    `triocql.policies`.

    They are called on the session's loop, and must not block. What the retry, timestamp, balancing and throttling
    policies raise fails the request that they were asked about; where the reconnection policy raises, or gives no
    number of seconds, `maximum` of `ReconnectionOptions` is waited, and the log says why.

    Attributes:
        retry: what follows when a node answers with an error, or the connection ends: see
            `triocql.policies.RetryPolicy`.
        speculation: when another node gets a copy of an idempotent request that has no answer yet: see
            `triocql.policies.SpeculationPolicy`; None for never.
        balancing: which node a request goes to: see `triocql.policies.BalancingPolicy`; None for a replica, or each
            in its turn.
        reconnection: how long to wait before a node is dialled again; None for delays that double, as the options
            `reconnection_base`, `reconnection_maximum` and `reconnection_jitter` say.
        timestamps: the time of writes that have none of their own: see `triocql.policies.TimestampPolicy`; None for
            the client's clock, strictly increasing.
        throttling: how many requests are under way at a time, or start in a second: a `triocql.policies.Throttle`, or
            see `triocql.policies.ThrottlingPolicy`; None for as many as are asked for.
        addresses: where a node is dialled that the cluster tells of: see `triocql.policies.AddressTranslation`; None
            for the address that it tells.

    Raises OptionError for what is no policy.

    >>> import triocql
    >>> from triocql.policies import Decision
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
    throttling: ThrottlingPolicy | None = None
    addresses: AddressTranslation | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            policy = getattr(self, each.name)
            if policy is not None or each.name == "retry":
                require_policy(policy, each.name)


def of_session(policy: Any, name: str, *arguments: object) -> Any:
    """Return the policy of this kind for one session: one of its own, if it makes such, by ``in_session``."""
    make: Callable[..., object] | None = getattr(policy, "in_session", None)
    own = policy if make is None else make(*arguments)
    require_policy(own, name)
    return own


def require_policy(policy: object, name: str) -> None:
    """Raise unless `policy` is an object with the methods of this kind; a class is none, however often that is
    forgotten.
    """
    for method in _METHODS[name]:
        # A text has methods, too: one of them is translate().
        if isinstance(policy, (type, str)) or not callable(getattr(policy, method, None)):
            kind = (
                f"the class {policy.__name__}"
                if isinstance(policy, type)
                else f"of type {type(policy).__name__}"
            )
            raise OptionError(f"the {name} policy is {kind}; it has to be an object with a method {method}()")
    if name == "throttling":
        most = getattr(policy, "max_queue", None)
        require(
            is_integer(most) and most >= 0, "max_queue of the throttling policy", most, "an integer from 0"
        )
