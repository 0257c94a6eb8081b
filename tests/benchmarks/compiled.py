"""Compiles a module of the benchmarks at its first use and imports it."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".bench"


def load(path: str) -> ModuleType:
    """Import `<path>.pyx`, as seen from this folder, compiled into the checkout's `.bench` folder once."""
    source = HERE / f"{path}.pyx"
    version = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    library = CACHE / f"{source.stem}-{version}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not library.exists():
        _build(source, library)
    spec = importlib.util.spec_from_file_location(source.stem, library)
    if spec is None or spec.loader is None:
        raise ImportError(f"{library} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _build(source: Path, library: Path) -> None:
    """Compile aside, then move into place: others may be doing the same."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        copy = shutil.copy(source, folder)
        command = [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-3", "-q", str(copy)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ImportError(f"{source.name} needs a C compiler, Cython and setuptools:\n{done.stderr}")
        (built,) = Path(folder).glob(f"*{library.suffix}")
        built.replace(library)
