"""Between the bytes of CQL values and Python objects."""
