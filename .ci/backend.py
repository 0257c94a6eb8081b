"""setuptools, told where the list of the sdist's files is: at the top level it would have to be `MANIFEST.in`."""

from setuptools.build_meta import *  # noqa: F403 - the hooks of the build
from setuptools.command.egg_info import manifest_maker

manifest_maker.template = ".ci/manifest"
