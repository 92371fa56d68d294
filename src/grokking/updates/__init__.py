"""What changes parameters: losses, gradient filters and projections, optimizers, clamps, schedules."""
