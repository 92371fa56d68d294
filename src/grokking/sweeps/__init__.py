"""Sweeps: many small networks over a design of hyperparameters and data, a row of a table for each."""
