"""What trained replicas say: times to generalization with censoring, and results against published ones."""
