"""Grokking laboratory: networks that memorize a small algebraic table and generalize long after."""
