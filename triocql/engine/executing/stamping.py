"""A guard around the timestamp policies of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql._brief import brief
from triocql.errors import UsageError
from triocql.policies import MonotonicTimestamps
from triocql.policies.checks import is_integer
from triocql.policies.timestamping import ServerTimestamps
from triocql.protocol.constants import SERVER

if TYPE_CHECKING:
    from triocql.policies.timestamping import TimestampPolicy

_HIGHEST = 2**63 - 1


class CheckedTimestamps(MonotonicTimestamps):
    """The timestamps of a user's policy: what is no timestamp does not get as far as a request."""

    __slots__ = ("_policy",)

    def __init__(self, policy: TimestampPolicy) -> None:
        super().__init__()
        self._policy = policy

    def next(self) -> int:
        """Return what the policy gives. Raises UsageError for what cannot be written, and what the policy raises."""
        given = self._policy.next()
        if not is_integer(given) or not SERVER < given <= _HIGHEST:
            raise UsageError(
                f"the timestamp policy gave {brief(given)}; it has to be an int of microseconds since "
                "1970, with a sign and 64 bits at most"
            )
        return given


def timestamps_of(policy: TimestampPolicy | None) -> MonotonicTimestamps:
    """Return what timestamps are taken from where requests have none; None stands for the client's clock.

    It is a clock for `ServerTimestamps`, too: those are an option of requests, and nothing is asked for them.
    """
    if isinstance(policy, MonotonicTimestamps):
        return policy
    if policy is None or isinstance(policy, ServerTimestamps):
        return MonotonicTimestamps()
    return CheckedTimestamps(policy)
