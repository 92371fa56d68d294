"""Which hyperparameters make a network generalise soonest: a study's space, trials, judges and results.

The only package that imports optuna.
"""
