"""What a session says of the program that it belongs to: operators see it in a table of each node."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from triocql._hints import hinted
from triocql.config.checks import require, require_type

_LONGEST = 1000


@hinted()
@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """What nodes are told of the program, and show in ``system_views.clients`` (Cassandra) or ``system.clients``
    (ScyllaDB).

    Attributes:
        application_name: the name of the program.
        application_version: its version.
        client_id: what tells this process, or this part of it, from others: a UUID or a text. What belongs to one
            session can be told from others without it: each has a `SESSION_ID`.
        report_options: whether the control connection tells the options of the session, as JSON: how long is waited,
            how many connections there are, the names of the classes of policies. No names of users, no passwords, no
            addresses.

    Raises OptionError for a value that is not allowed.

    >>> ClientOptions(application_name="shop", application_version="2.1").startup
    {'APPLICATION_NAME': 'shop', 'APPLICATION_VERSION': '2.1'}
    """

    application_name: str | None = None
    application_version: str | None = None
    client_id: UUID | str | None = None
    report_options: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.client_id, UUID):
            object.__setattr__(self, "client_id", str(self.client_id))
        for name in ("application_name", "application_version", "client_id"):
            value = getattr(self, name)
            fits = value is None or (
                isinstance(value, str) and 0 < len(value) <= _LONGEST and _is_utf8(value)
            )
            require(fits, name, value, f"a text of at most {_LONGEST:,} characters, or None")
        require_type(self.report_options, bool, "report_options", "True or False")

    @property
    def startup(self) -> dict[str, str]:
        """What of it STARTUP says, by the names there."""
        told = {
            "APPLICATION_NAME": self.application_name,
            "APPLICATION_VERSION": self.application_version,
            "CLIENT_ID": self.client_id,
        }
        return {name: str(value) for name, value in told.items() if value is not None}


def _is_utf8(text: str) -> bool:
    """Return whether a text can be sent: halves of surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
