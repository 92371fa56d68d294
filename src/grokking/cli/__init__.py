"""The command `grokking`: a thin skin over `grokking.api`, a file per command. Nothing imports it."""
