"""Stage `sweep`: every network of a sweep, and the table of what became of each."""

from pathlib import Path

from tqdm import tqdm

from grokking.catalogue import read_catalogue
from grokking.sweeps.networks import expand
from grokking.sweeps.sweep_folder import SweepFolder
from grokking.sweeps.training import train_networks
from pipelines.common.paths import CHECKPOINTS, SWEEPS
from pipelines.common.stage import entry_parser, run


def main() -> None:
    name = entry_parser(__doc__).parse_args().name
    networks = expand(read_catalogue().entry("sweeps", name), f"sweeps.{name}")
    folder = SweepFolder(SWEEPS / name, unfinished(name), networks)
    todo = folder.unfinished()
    with tqdm(
        total=len(networks), initial=len(networks) - len(todo), desc=name, unit="network", disable=None
    ) as bar:
        for network, row in train_networks(todo):
            folder.add(row, network)
            bar.update()
    table = folder.close()
    print(f"{name}: {int(table['observed'].sum())} of {len(table)} networks generalized", flush=True)


def unfinished(name: str) -> Path:
    """The rows of networks that have finished, while others have not: a kill leaves them."""
    return CHECKPOINTS / "sweeps" / f"{name}.jsonl"


if __name__ == "__main__":
    run(main)
