"""Which connection a request goes to."""
