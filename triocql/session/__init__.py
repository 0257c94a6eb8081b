"""The session of asynchronous programs, and the calls that execute many statements or read many pages on it."""
