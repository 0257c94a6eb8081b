"""setuptools, told what pyproject.toml has no words for.

Where the list of the sdist's files is: at the top level it would have to be `MANIFEST.in`. And that all modules are
compiled at once, on all processors: one after the other that takes minutes.
"""

import os

from Cython.Build import cythonize
from setuptools.build_meta import *  # noqa: F403 - the hooks of the build
from setuptools.command.build_ext import build_ext
from setuptools.command.egg_info import manifest_maker

manifest_maker.template = ".ci/manifest"

_build_extensions = build_ext.build_extensions


def _build_at_once(command: build_ext) -> None:
    """Translate the modules in processes of their own, and compile them side by side, without symbols: the linker
    throws those away. All of them, each time: Cython knows what a module is made of by the name of its source, which
    is not that of the module's `.pxd`.
    """
    command.parallel = os.cpu_count() or 1
    translated = cythonize(
        command.extensions, nthreads=command.parallel, force=True, quiet=not command.verbose
    )
    sources = {extension.name: extension.sources for extension in translated}
    for extension in command.extensions:
        extension.sources = sources[extension.name]
        extension.extra_compile_args = ["-g0"]
    _build_extensions(command)


build_ext.build_extensions = _build_at_once
