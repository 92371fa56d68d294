"""A lock that all clients of one MLflow server share.

MLflow has no locks, but of two registered models of one name it refuses the second. So whoever can create
the model holds the lock, and deletes the model in the end. The holder renews a tag of it; where nobody has
done so for a minute, the holder is gone, and the next one takes over. The minute is measured where one waits,
so that no two clocks need agree.
"""

import threading
import time
import uuid
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOOK_SECONDS = 0.3
RENEW_SECONDS = 10.0
SILENT_SECONDS = 60.0
GIVEN = "given"  # tag: changes with each renewal
ABOUT = "Held while somebody writes to this server: leave it, it goes by itself."


class ServerLock:
    """Held by one client of a server at a time; not to be entered twice."""

    def __init__(self, client: "MlflowClient", name: str) -> None:
        self.client, self.name = client, f"lock-{name}"
        self.holder = uuid.uuid4().hex
        self.released = threading.Event()
        self.renewing = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        seen, since = "", time.monotonic()
        while not self._take():
            given = self._given()
            if given != seen:
                seen, since = given, time.monotonic()
            elif given and time.monotonic() - since > SILENT_SECONDS:
                self._remove(given)
            time.sleep(LOOK_SECONDS)
        self.renewing.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.released.set()
        self.renewing.join()
        given = self._given()
        if given.startswith(self.holder):
            self._remove(given)

    def _take(self) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.name, {GIVEN: f"{self.holder} 0"}, ABOUT)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return False
        return True

    def _given(self) -> str:
        """What the holder wrote last; "" where nobody holds the lock."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self.client.get_registered_model(self.name).tags.get(GIVEN, ""))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ""

    def _remove(self, given: str) -> None:
        """Delete the model, unless another has taken the lock since."""
        from mlflow.exceptions import MlflowException

        if self._given() != given:
            return
        try:
            self.client.delete_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def _renew(self) -> None:
        """Say now and then that the holder is there, until it lets go or has lost the lock."""
        from mlflow.exceptions import MlflowException

        renewals = 0
        while not self.released.wait(RENEW_SECONDS):
            renewals += 1
            try:
                if not self._given().startswith(self.holder):
                    return
                self.client.set_registered_model_tag(self.name, GIVEN, f"{self.holder} {renewals}")
            except MlflowException:
                continue  # the next renewal may reach the server
