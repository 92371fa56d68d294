"""Grokking laboratory: networks that memorise a small algebraic table and generalise long after."""
