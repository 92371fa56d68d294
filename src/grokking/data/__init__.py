"""The table of all equations of a task, and which of them are for training."""
