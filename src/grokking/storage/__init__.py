"""Trained experiments on disk, tables and snapshots. None of it decides what training computes."""
