"""Stage `draw`: the figures of one experiment."""

from safetensors.numpy import load_file

from grokking import figures
from grokking.catalogue import read_catalogue
from grokking.storage import runs
from pipelines.common.paths import DIAGNOSTICS, RUNS
from pipelines.common.reports import DIAGNOSTICS_TABLE, DRAWN, PORTRAIT, require_diagnostics
from pipelines.common.stage import entry_parser, run


def main() -> None:
    name = entry_parser(__doc__).parse_args().name
    group = read_catalogue().group(name)
    learned = require_diagnostics(DIAGNOSTICS / group / name)
    diagnosed = runs.read_table(learned / DIAGNOSTICS_TABLE)
    runs.require_as_written(learned / PORTRAIT)
    portrayed = load_file(learned / PORTRAIT)
    figures.draw_experiment(name, runs.read(RUNS / group / name), diagnosed, portrayed, DRAWN / name)


if __name__ == "__main__":
    run(main)
