"""What recording gains on a GPU: updates replayed as a graph beside the same updates made one by one.

`python -m benchmarks.recorded` prints a table. The bits of both are compared, too.
"""

import time

import pandas as pd
import torch

from benchmarks.cases import prepare
from benchmarks.ours import make_stack
from grokking.engine.stack import ReplicaStack

STACKS = {  # replicas of each case
    "shared_mlp_published_f30": 3,
    "embedding_mlp_published": 5,
    "transformer_paper_late": 2,
    "wide_mlp_published": 48,
}
WARM_UP, STEPS = 20, 300


def main() -> None:
    if not torch.cuda.is_available():
        raise SystemExit("error: there is no GPU here; this benchmark measures what a GPU gains")
    print(f"torch {torch.__version__} on {torch.cuda.get_device_name()}")
    print(pd.DataFrame([row(name, count) for name, count in STACKS.items()]).to_markdown(index=False))


def row(name: str, count: int) -> dict[str, str]:
    """Milliseconds of a step of this stack, both ways."""
    case = prepare(name)
    recorded, single = (make_stack(case.replicas(count), case.task, "cuda") for _ in range(2))
    single.update_on_batch = single._forward_backward_apply
    of_recorded, of_single = milliseconds(recorded), milliseconds(single)
    return {
        "case": f"`{name}`",
        "replicas": str(count),
        "recorded, ms": f"{of_recorded:.2f}",
        "one by one, ms": f"{of_single:.2f}",
        "times faster": f"{of_single / of_recorded:.1f}",
        "same bits": str(torch.equal(recorded.params.data, single.params.data)),
    }


def milliseconds(stack: ReplicaStack) -> float:
    """Of a step, after some that set everything up."""
    stack.update(WARM_UP)
    torch.cuda.synchronize()
    started = time.perf_counter()
    stack.update(STEPS)
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - started) / STEPS


if __name__ == "__main__":
    main()
