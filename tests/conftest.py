"""For all tests."""

pytest_plugins = ["triocql.testing.plugin"]
