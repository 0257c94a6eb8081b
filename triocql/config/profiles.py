"""Execution profiles: options and policies under a name, derived from one another, which requests are executed by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from triocql._brief import brief
from triocql._hints import PROFILE, hinted
from triocql.config.checks import require, require_type
from triocql.config.policies import PolicyOptions, require_policy
from triocql.config.requests import RequestOptions, ResolvedOptions, SharedOptions, merge
from triocql.errors import OptionError
from triocql.policies.balancing import BalancingPolicy
from triocql.policies.retry import RetryPolicy
from triocql.policies.speculation import SpeculationPolicy
from triocql.policies.throttling import ThrottlingPolicy
from triocql.policies.timestamping import TimestampPolicy

DEFAULT = "default"
"""The name of the session's own options and policies."""


@hinted(PROFILE)
@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(SharedOptions):
    """Options and policies of requests, for a kind of them: given to `connect` under a name, and chosen by that name
    with ``profile=`` of a call, a `Statement`, a `Batch` or a prepared statement.

    It has the options of `RequestOptions` that are not for a single request. None stands for "as the base says": what a
    call and its statement say goes before what a profile says, that before its `base`, and all before the session.

    Attributes:
        base: the name of the profile that this one is derived from; None for the session's own options.
        retry: as in `PolicyOptions`, as the other policies are.
        speculation: `triocql.policies.NeverSpeculate()` for no copies, where the base has them.
        balancing: which nodes its requests go to. A node gets connections if the session's policy wants it, or that of
            any profile.
        timestamps: the time of writes that have none of their own.
        throttling: how many of its requests are under way; it counts by itself, beside the session's. Profiles that
            have the same object share its bounds, as those do that inherit it; `triocql.policies.NeverThrottle()` for
            no bound.

    Raises OptionError for a value that is not allowed.

    >>> import triocql
    >>> profiles = {
    ...     "reports": triocql.Profile(timeout=60.0, consistency="LOCAL_QUORUM", page_size=1000),
    ...     "nightly": triocql.Profile(base="reports", timeout=600.0, idempotent=True),
    ... }
    >>> triocql.connect("10.0.0.1", profiles=profiles)    # doctest: +SKIP
    >>> await session.execute("SELECT * FROM events", profile="nightly")    # doctest: +SKIP
    """

    base: str | None = None
    retry: RetryPolicy | None = field(default=None, repr=False)
    speculation: SpeculationPolicy | None = field(default=None, repr=False)
    balancing: BalancingPolicy | None = field(default=None, repr=False)
    timestamps: TimestampPolicy | None = field(default=None, repr=False)
    throttling: ThrottlingPolicy | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        SharedOptions.__post_init__(self)
        require(
            self.base is None or isinstance(self.base, str),
            "base",
            self.base,
            "the name of a profile, or None",
        )
        for name, policy in self.policies.items():
            require_policy(policy, name)

    @property
    def policies(self) -> dict[str, Any]:
        """The policies that it has of its own, by their names in `PolicyOptions`."""
        return {name: policy for name in _POLICIES if (policy := getattr(self, name)) is not None}


_POLICIES = tuple(
    each.name for each in fields(Profile) if each.name in {each.name for each in fields(PolicyOptions)}
)


def unknown_profile(name: str, known: Iterable[str]) -> OptionError:
    """Return the error for a name that there is no profile of."""
    names = ", ".join(map(repr, sorted({DEFAULT, *known})))
    return OptionError(f"unknown profile {brief(name)}; those of the session are: {names}")


class ResolvedProfile(NamedTuple):
    """What a profile comes to: it leaves nothing open.

    Attributes:
        request: the options of its requests.
        policies: what is decided by.
    """

    request: ResolvedOptions
    policies: PolicyOptions


class Profiles(Mapping[str, Profile]):
    """The profiles of a session by their names, without "default"; they never change.

    Raises OptionError for what are none, and for bases that there are not, or that go in a circle.
    """

    def __init__(self, profiles: Mapping[str, Profile] = {}) -> None:
        require_type(profiles, Mapping, "profiles", "a dict of names and triocql.Profile objects")
        self._profiles = dict(profiles)
        for name, profile in self._profiles.items():
            require(
                isinstance(name, str) and name != "", "the name of a profile", name, "a str that is not empty"
            )
            require_type(profile, Profile, f"the profile {brief(name)}", "a triocql.Profile")
            if name == DEFAULT:
                raise OptionError(
                    "'default' stands for the session's own options: give these to connect(), and profiles other names"
                )
        for name in self._profiles:
            self._line(name)

    def __getitem__(self, name: str) -> Profile:
        return self._profiles[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)

    def __repr__(self) -> str:
        return repr(self._profiles)

    def resolve(self, name: str, request: ResolvedOptions, policies: PolicyOptions) -> ResolvedProfile:
        """Lay a profile and those that it is derived from over these options and policies, the bases first. Raises
        OptionError if there is none of this name.
        """
        for profile in reversed(self._line(name)):
            request = merge(request, profile.shared)
            policies = replace(policies, **profile.policies)
        return ResolvedProfile(merge(request, RequestOptions(profile=name)), policies)

    def _line(self, name: str) -> list[Profile]:
        """Return a profile, its base, the base of that, and so on."""
        line: dict[str, Profile] = {}
        following: str | None = name
        while following is not None and following != DEFAULT:
            if following in line:
                circle = " -> ".join((*line, following))
                raise OptionError(f"profiles are derived from one another in a circle: {circle}")
            profile = self._profiles.get(following)
            if profile is None:
                error = unknown_profile(following, self)
                if line:
                    error.add_note(f"it is the base of the profile {next(reversed(line))!r}")
                raise error
            line[following] = profile
            following = profile.base
        return list(line.values())
