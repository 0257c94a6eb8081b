"""What makes a node of the test server one of ScyllaDB's: shards, tablets, and extensions of the protocol."""
