"""For tests and trials: real Cassandra nodes, and what stands in for them."""
