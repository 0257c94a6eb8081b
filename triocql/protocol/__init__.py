"""The native protocol of Cassandra, versions 3 to 5, without any I/O: bytes in, messages out, and back."""
