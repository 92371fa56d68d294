"""What trained replicas say: times to generalisation with censoring, and results against published ones."""
