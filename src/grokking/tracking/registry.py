"""MLflow's model registry: the best network of each system, under the alias `best`."""

import hashlib
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from grokking.config import ConfigError
from grokking.tracking import identity, store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "best"
CONTENT = "content"  # tag of a version: hash of all that it is
FORM = "1"  # of what is registered: another one registers everything again
PACKAGES = ("torch", "numpy", "pandas", "safetensors")  # that a model needs beside this laboratory


@dataclass(frozen=True)
class Model:
    """A network to be registered."""

    name: str
    run_key: str  # tag of the run of its replica, which is published already
    sha256: str  # of the network
    description: str
    loader: str  # module that loads `pack`'s folder
    pack: Callable[[Path], None]  # writes the folder that becomes the model

    def content(self) -> str:
        parts = (FORM, self.name, self.run_key, self.sha256, self.description, self.loader)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def publish(client: "MlflowClient", model: Model) -> bool:
    """Register a model and give it the alias; False where just this has the alias already."""
    versions = _versions(client, model.name)
    own = next((found for found in versions if found.tags.get(CONTENT) == model.content()), None)
    if own is not None and ALIAS in own.aliases:
        return False
    registered = own or _register(client, model)
    client.set_registered_model_alias(model.name, ALIAS, registered.version)
    return True


def _versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """All versions with their aliases, which a search leaves out."""
    if not (models := client.search_registered_models(f"name = '{name}'")):
        client.create_registered_model(name)
        return []
    aliases: dict[str, list[str]] = {}
    for alias, number in models[0].aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    found = list(client.search_model_versions(f"name = '{name}'"))
    for each in found:
        each.aliases = aliases.get(str(each.version), [])
    return found


def _register(client: "MlflowClient", model: Model) -> "ModelVersion":
    """Write the model to the artifacts of its run, and a version that leads there."""
    experiment = store.experiment_id(client, identity.TRAINED)
    runs = client.search_runs([experiment], f"tags.key = '{model.run_key}'", max_results=1)
    if not runs:
        raise ConfigError(f"`{model.name}` has no run {model.run_key} to belong to; publish that first")
    place = f"model-{model.content()[:8]}"  # of its own, so that earlier versions stay as they are
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model.pack(folder / "network")
        _save(model, folder)
        client.log_artifacts(runs[0].info.run_id, str(folder / "model"), place)
    return client.create_model_version(
        model.name,
        f"{runs[0].info.artifact_uri}/{place}",
        runs[0].info.run_id,
        tags={CONTENT: model.content()},
        description=model.description,
    )


def _save(model: Model, folder: Path) -> None:
    """A python function of MLflow that loads the packed folder by our own module; nothing is pickled."""
    from mlflow import pyfunc
    from mlflow.models.signature import ModelSignature
    from mlflow.types import ColSpec, Schema

    operands, answer = (Schema([ColSpec("long", name) for name in names]) for names in ("ab", "c"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for an example, which would be computed on each publish
        pyfunc.save_model(
            folder / "model",
            loader_module=model.loader,
            data_path=str(folder / "network"),
            signature=ModelSignature(operands, answer),
            pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in PACKAGES],
        )
