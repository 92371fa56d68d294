"""Users of a team's MLflow server. Every user may read; a member may also publish."""

import warnings
from typing import TYPE_CHECKING, Any

from grokking.config import ConfigError
from grokking.tracking import server, store

if TYPE_CHECKING:
    from mlflow.server.auth.client import AuthServiceClient

ROLE, WORKSPACE = "member", "default"
WRITTEN = ("experiment", "registered_model")  # runs and versions of models lie within these


def client() -> "AuthServiceClient":
    """What tells the server of MLFLOW_TRACKING_URI about users; an administrator's password is needed."""
    uri = store.tracking_uri()
    if not server.is_server(uri):
        raise ConfigError(f"`MLFLOW_TRACKING_URI` must be a server, but is {uri}; only a server has users")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the server is made of
        from mlflow.server import get_app_client

        return get_app_client("basic-auth", tracking_uri=uri)


def exists(users: "AuthServiceClient", name: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        users.get_user(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def let_publish(users: "AuthServiceClient", name: str) -> None:
    """Give a user the role of members, which is made if need be."""
    role = _role(users)
    if role.id not in {own.id for own in users.list_user_roles(name)}:
        users.assign_role(name, role.id)


def _role(users: "AuthServiceClient") -> Any:
    roles = {role.name: role for role in users.list_roles(WORKSPACE)}
    role = roles.get(ROLE) or users.create_role(WORKSPACE, ROLE, "May publish.")
    granted = {each.resource_type for each in users.list_role_permissions(role.id)}
    for kind in WRITTEN:
        if kind not in granted:  # all of these, as another killed before may have granted the first alone
            users.add_role_permission(role.id, kind, "*", "MANAGE")
    return role
