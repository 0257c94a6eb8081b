"""What can be executed: statements, prepared and bound ones, batches, and where reading goes on."""
