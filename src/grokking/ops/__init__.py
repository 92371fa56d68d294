"""Fast passes, each beside its plain twin and chosen by one switch, `use`."""

from grokking.ops.matmul import linear, matmul
from grokking.ops.mlp import mlp, mlp_hidden
from grokking.ops.numpy_mlp import numpy_mlp
from grokking.ops.switch import is_fast, use

__all__ = ["is_fast", "linear", "matmul", "mlp", "mlp_hidden", "numpy_mlp", "use"]
