"""The package as it is or was in a revision, in a folder of its own with its compiled modules built."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tests.benchmarks.child import ROOT

FOLDER = ROOT / ".bench" / "revisions"
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "reactors", "triocql")
_BUILD = (sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "build_ext", "--inplace")


def tree_of(revision: str) -> str:
    """Return the id of the tree of a commit, a branch, a tag."""
    return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{tree}}")


def tree_of_checkout() -> str:
    """Return the id of a tree with the files as they are, committed or not, without touching git's index."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        _git("read-tree", "HEAD", **index)
        _git("add", "--all", **index)
        return _git("write-tree", **index)


def built(new: str, old: str) -> tuple[Path, Path]:
    """Return a folder for each of two trees, even if they are the same. What is there already is used.

    All others are deleted. Both are built by this Python, with its packages and the flags of now: nothing is installed.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    folders = FOLDER / f"new-{_name(new)}", FOLDER / f"old-{_name(old)}"
    for other in set(FOLDER.iterdir()) - set(folders):
        shutil.rmtree(other)
    for tree, folder in zip((new, old), folders, strict=True):
        if not folder.exists():
            _build(tree, folder)
    return folders


def _name(tree: str) -> str:
    """Return a name that two trees have in common if they are built to the same."""
    flags = (sysconfig.get_config_var("EXT_SUFFIX"), os.environ.get("CC"), os.environ.get("CFLAGS"))
    return hashlib.sha256(f"{_git('ls-tree', tree, *SOURCES)} {flags}".encode()).hexdigest()[:12]


def _build(tree: str, folder: Path) -> None:
    """Unpack and compile aside, then move into place, so that a folder is whole."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as aside:
        _git("archive", f"--output={aside}/sources.tar", tree, *SOURCES)
        inner = Path(aside) / folder.name
        shutil.unpack_archive(f"{aside}/sources.tar", inner, filter="data")
        done = subprocess.run(
            _BUILD, cwd=inner, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{tree} cannot be built:\n{done.stdout}")
        inner.rename(folder)


def _git(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip() or 'there is no such revision'}")
    return done.stdout.strip()
