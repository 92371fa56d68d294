"""What editors and type checkers know of `grokking.<name>`; at run time `grokking.api` finds it."""

from grokking.api.loading import load as load
from grokking.api.run import Prediction as Prediction
from grokking.api.run import Run as Run
from grokking.api.training import train as train
from grokking.config import ConfigError as ConfigError
