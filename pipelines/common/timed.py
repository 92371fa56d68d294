"""Stages that measure seconds: others beside them would change what they find."""

from collections.abc import Iterable

from grokking.catalogue import read_catalogue
from pipelines.common.capacity import kind


def measuring_seconds(stages: Iterable[str]) -> list[str]:
    """Those of a study whose objective is seconds."""
    of_studies = [stage for stage in stages if kind(stage) in ("search", "confirm")]
    if not of_studies:
        return []
    catalogue = read_catalogue()
    timed = {
        study
        for study in catalogue.names("studies")
        if catalogue.entry("studies", study).get("objective") == "seconds"
    }
    return [stage for stage in of_studies if stage.partition("@")[2] in timed]
