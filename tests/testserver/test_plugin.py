"""The pytest plugin, with the tests of an application as its documentation shows them."""

from __future__ import annotations

import inspect
import re
import textwrap

import pytest

from triocql.testing import plugin

pytest_plugins = ["pytester"]


def documented() -> str:
    """Return the application and its tests from the plugin's documentation."""
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", inspect.getdoc(plugin) or "")
    code = [block for block in map(textwrap.dedent, blocks) if "def " in block]
    assert len(code) == 2
    return "\n".join(code)


def test_as_documented(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\naddopts = --strict-markers")
    pytester.makepyfile(documented())
    result = pytester.runpytest_subprocess("-p", "triocql.testing.plugin", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)


def test_without_a_marker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import socket

        def test_it(cql_server):
            assert len(cql_server.nodes) == 1
            with socket.create_connection(cql_server.nodes[0].address):
                pass

        def test_what_nobody_asked(cql_server):
            cql_server.log.assert_executed("SELECT 1")
        """
    )
    result = pytester.runpytest_subprocess("-p", "triocql.testing.plugin", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*'SELECT 1' was executed 0 times, not at least once; there was no request at all*"]
    )
