"""Where stage `diagnose` leaves its files; apart from `stage`, which every training depends on."""

from pathlib import Path

DIAGNOSTICS = Path("artifacts/diagnostics")  # of each experiment, in a folder of its name
TABLE, PORTRAIT = "diagnostics.parquet", "portrait.safetensors"
