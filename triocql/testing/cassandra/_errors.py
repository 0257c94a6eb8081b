"""The errors of the launcher."""

from __future__ import annotations

import os
import shutil

from triocql.errors import Error


class LauncherError(Error):
    """A node or cluster of the launcher could not do what it was told."""


class MissingTool(LauncherError):
    """Java, Maven or OpenSSL is not there; the message says how to get it."""


class StartError(LauncherError):
    """A node ended, or did not answer, while it was starting; the message ends with what its log says."""


def install_command(package: str) -> str:
    """Return how to install a package of Debian's, here or on another system."""
    if shutil.which("apt-get"):
        sudo = "" if os.geteuid() == 0 else "sudo "
        return f"run: {sudo}apt-get update && {sudo}apt-get install -y {package}"
    return f"install it with your system's package manager (Debian calls it {package})"
