"""What requests say, and what their answers mean."""
