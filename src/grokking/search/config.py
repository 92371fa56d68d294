"""A study as written in params.yaml."""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Literal

from pydantic.dataclasses import dataclass

from grokking.config import STRICT, ConfigError, NonNegativeInt, Positive, PositiveInt, Seed, load, one_of
from grokking.data.tasks import Task, require_split
from grokking.experiment import Replica, Seeds, expand, require_fit
from grokking.search.objective import OBJECTIVES
from grokking.search.space import DECAY_RATES, Space, apply_point, corners, dimensions

# That a crossing must hold in a search: enough to rank; `sustain` and `confirm` ask for all
SEARCH_HOLD_STEPS = 50
PARTS = ("search", "sustain_seeds", "confirm")  # of a study that have seeds of their own
# Keys of an experiment that `published` may not set, nor a point of the space, and why
OF_THE_STUDY = {
    "replicas": "the seeds of all trials are in `search`",
    "task": "all trials learn that of `experiment`",
}
OF_ALL_TRIALS = OF_THE_STUDY | {
    "budget": "trials are compared within that of `experiment`",
    "system": "it changes nothing that is trained",
    "role": "it changes nothing that is trained",
}


@dataclass(frozen=True, config=STRICT)
class PrunerConfig:
    # none: no seed is stopped, though the other seeds follow only a first one that comes near the best
    name: Literal["progress", "none"]
    racing_factor: Positive  # a seed that costs this many times the best is stopped, and no others follow
    exempt_first: NonNegativeInt  # this many first trials are never stopped: the rules learn from them
    exempt_every: PositiveInt  # nor is every n-th trial: they show how often rules are wrong

    def is_exempt(self, trial: int) -> bool:
        """Whether no rule may stop the trial of this number."""
        nth = trial % self.exempt_every == self.exempt_every - 1
        return self.name == "none" or trial < self.exempt_first or nth


@dataclass(frozen=True, config=STRICT)
class SamplerConfig:
    name: Literal["tpe", "random", "qmc"]
    seed: Seed
    startup_trials: PositiveInt  # random trials before TPE begins; other samplers ignore it


@dataclass(frozen=True, config=STRICT)
class StudyConfig:
    experiment: dict[str, Any]  # an experiment without `replicas`; the space changes it
    space: Space  # dotted key of the experiment -> the values it may take
    initial_points: tuple[dict[str, Any], ...]  # tried first, by names of the space; missing keys are drawn
    published: dict[str, Any]  # dotted keys that make the experiment the published one, if any
    objective: Annotated[str, one_of(OBJECTIVES)]
    trials: PositiveInt
    search: Seeds  # a trial's replicas; the first decides whether the others follow
    sustain_seeds: Seeds  # further ones, on which the best trials must sustain their crossings
    confirm: Seeds  # fresh ones on fresh splits, of the first round
    sampler: SamplerConfig
    pruner: PrunerConfig
    random_baseline: bool  # also run a random search of the same compute and confirm its best trial
    leader_hold_steps: PositiveInt = SEARCH_HOLD_STEPS  # of a crossing that is sooner than all before it
    round: PositiveInt = 1  # how often the study was searched anew; each round confirms on seeds of its own


@plain_dataclass(frozen=True)
class StudyPlan:
    """A study and its name."""

    name: str
    where: str  # in params.yaml, for messages
    config: StudyConfig

    def replicas(self, values: Mapping[str, Any], seeds: Seeds) -> list[Replica]:
        """The replicas of a point of the space, one for each seed."""
        with self._blaming(values) as part:
            mapping = apply_point(self.config.experiment, values, f"{self.where}.{part}")
            return expand(mapping | {"replicas": asdict(seeds) | {"grid": {}}}, f"{self.where}.experiment")

    def require_fit(self, task: Task) -> None:
        """Raise ConfigError where a point cannot be trained on the task with the seeds of each part."""
        split_seeds = {part: getattr(self.config, part).split_seeds for part in PARTS}
        for part, own in split_seeds.items():
            for split_seed in own:
                require_split(task, split_seed, f"{self._named(part)}.split_seeds")
        # A batch that fits this training set fits all others
        smallest = min(itertools.chain(*split_seeds.values()), key=task.train_size)
        for values in self.extremes():
            replica = self.replicas(values, self.config.search)[0]
            with self._blaming(values):
                require_fit(replace(replica, split_seed=smallest), task, f"{self.where}.experiment")

    def _named(self, seeds: str) -> str:
        """Where seeds stand; those of later rounds are not the ones that are written there."""
        later = seeds == "confirm" and self.config.round > 1
        return f"{self.where}.{seeds}" + (f" (round {self.config.round})" if later else "")

    @contextmanager
    def _blaming(self, values: Mapping[str, Any]) -> Iterator[str]:
        """Errors of the experiment name the key of the part, `space` or `published`, that the point is of."""
        part = "published" if values is self.config.published else "space"
        try:
            yield part
        except ConfigError as error:
            raise ConfigError(_blamed(str(error), self.where, part, getattr(self.config, part))) from None

    def published(self, seeds: Seeds) -> list[Replica]:
        """The replicas of the published configuration."""
        return self.replicas(self.config.published, seeds)

    def extremes(self) -> list[Mapping[str, Any]]:
        """The corners of the space, and what was published: where these can be trained, so can all trials."""
        return [*corners(self.config.space), self.config.published]

    @property
    def budget(self) -> int:
        return int(self.config.experiment["budget"])


def _blamed(message: str, where: str, part: str, keys: Collection[str]) -> str:
    """An experiment's error, with the key of `space` or `published` where that sets the wrong value."""
    found = re.match(rf"`{re.escape(where)}\.experiment\.([^`]+)` ", message)
    if found is None:
        return message
    rates = {decay: rate for rate, (_, decay) in DECAY_RATES.items() if rate in keys}
    written = rates.get(found[1], found[1])
    key = next((key for key in keys if f"{written}.".startswith(f"{key}.")), None)
    if key is None:
        return message
    return f"`{where}.{part}.{key}` sets `{found[1]}`, which {message[found.end() :]}"


def read_study(mapping: Any, name: str, where: str) -> StudyPlan:
    """The study as params.yaml has it; ConfigError for anything that could not be trained.

    The experiment is built at every corner of the space before anything runs. `confirm` is that of the round.
    """
    written = load(StudyConfig, mapping, where)
    plan = StudyPlan(name, where, replace(written, confirm=of_round(written.confirm, written.round)))
    config = plan.config
    for values in plan.extremes():
        plan.replicas(values, config.search)
    _require_searchable(config, where)
    _require_points(config, where)
    factor = config.pruner.racing_factor
    if factor < 1:
        raise ConfigError(f"`{where}.pruner.racing_factor` must be at least 1, but got {factor}")
    _require_fresh(config, where)
    return plan


def of_round(first: Seeds, number: int) -> Seeds:
    """The seeds and split seeds of a round: those of the first one, and in each later one the next range."""

    def moved(seeds: Sequence[int]) -> tuple[int, ...]:
        return tuple(seed + (number - 1) * (max(seeds) - min(seeds) + 1) for seed in seeds)

    return Seeds(moved(first.seeds), moved(first.split_seeds))


def _require_searchable(config: StudyConfig, where: str) -> None:
    """Refuse keys that would be recorded and have no effect, or another than the reports say."""
    if not config.space:
        raise ConfigError(f"`{where}.space` is empty; name a key of the experiment and its values")
    _require_free(config.space, OF_ALL_TRIALS, f"{where}.space")
    _require_free(config.published, OF_THE_STUDY, f"{where}.published")
    for values in corners(config.space):
        _require_effect(list(values), f"{where}.space")
    _require_effect(list(config.published), f"{where}.published")


def _require_free(keys: Mapping[str, Any], taken: Mapping[str, str], where: str) -> None:
    for key in keys:
        if reason := taken.get(key.partition(".")[0]):
            raise ConfigError(f"`{where}` names {key}, but {reason}; remove it")


def _require_effect(keys: Sequence[str], where: str) -> None:
    """No key may replace what an earlier one sets."""
    for rate, (_, weight_decay) in DECAY_RATES.items():
        if rate in keys and weight_decay in keys:
            raise ConfigError(f"`{where}` names both {weight_decay} and {rate}, which sets it; remove one")
    for earlier, later in itertools.combinations(keys, 2):
        if earlier.startswith(f"{later}."):
            raise ConfigError(f"`{where}` names {earlier} before {later}, which replaces it; swap them")


def _require_points(config: StudyConfig, where: str) -> None:
    """Find a bad point now; Optuna would find it only when the point's turn comes."""
    known, points = dimensions(config.space), f"`{where}.initial_points`"
    for key, value in itertools.chain.from_iterable(point.items() for point in config.initial_points):
        if key not in known:
            names = ", ".join(sorted(known))
            raise ConfigError(f"{points} names {key}, which is not searched; known: {names}")
        if not known[key].holds(value):
            raise ConfigError(
                f"{points} gives {key} {value!r}, but `space` has {asdict(known[key])}; a list or "
                "a mapping among `values` is written as JSON in quotes"
            )


def _require_fresh(config: StudyConfig, where: str) -> None:
    """Each part must use seeds that no earlier part used; `confirm` also fresh splits."""
    _require_apart(config, where, "sustain_seeds", "search", "seeds")
    for earlier in ("search", "sustain_seeds"):
        for kind in ("seeds", "split_seeds"):
            _require_apart(config, where, "confirm", earlier, kind)


def _require_apart(config: StudyConfig, where: str, part: str, earlier: str, kind: str) -> None:
    used = set(getattr(getattr(config, part), kind)) & set(getattr(getattr(config, earlier), kind))
    if used:
        raise ConfigError(
            f"`{where}.{part}.{kind}` must be fresh, but {sorted(used)[0]} is in `{earlier}`; choose others"
        )


def random_arm(plan: StudyPlan) -> StudyPlan:
    """Random search in the same space by the same rules, without the points that the study was given."""
    own_seed = plan.config.sampler.seed + 1  # else it would draw TPE's first trials again
    sampler = replace(plan.config.sampler, name="random", seed=own_seed)
    config = replace(plan.config, sampler=sampler, initial_points=())
    return replace(plan, name=f"{plan.name}-random", config=config)
