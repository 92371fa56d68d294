"""Training to the end of the budget: the loop, its records and its checkpoints."""
