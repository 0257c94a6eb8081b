"""What can be seen of a session from outside: logs and hooks."""
