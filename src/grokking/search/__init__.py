"""Hyperparameter studies: the space, the objective, pruning, trials, their execution and their tables.

The only package that imports optuna. Read config, scheduler, trial_monitor and pruning, in this order.
"""
