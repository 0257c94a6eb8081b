"""What the launcher raises."""

from __future__ import annotations

from triocql.errors import Error


class LauncherError(Error):
    """A node or cluster of the launcher could not do what it was told."""


class MissingTool(LauncherError):
    """Java or Maven is not there; the message is the command that installs it."""


class StartError(LauncherError):
    """A node ended, or did not answer, while it was starting; the message ends with what its log says."""
