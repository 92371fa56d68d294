"""The checksum of a study's journal, by which a damaged one differs from one that others have written to."""

import zlib
from pathlib import Path

from grokking.config import ConfigError
from grokking.storage.whole_file import whole_file


class JournalSum:
    """The length and the checksum of a journal as it was last written, in a file beside it.

    What lies behind this length was written by others: by a process that was killed, or by the dashboard.
    """

    def __init__(self, journal: Path) -> None:
        self.journal, self.file = journal, journal.with_name(f"{journal.name}.sum")

    def require_whole(self) -> None:
        """Raise ConfigError where the journal is not what was written; one without a sum is taken as is."""
        if not self.file.exists():
            return
        written = self.journal.read_bytes() if self.journal.exists() else b""
        length, checksum = self._known()
        if len(written) < length or zlib.crc32(written[:length]) != checksum:
            raise ConfigError(
                f"{self.journal} is damaged: it is not what was written; restore it and {self.file} from a "
                "copy, or remove both and search again"
            )

    def update(self) -> None:
        """Add what was written since."""
        length, checksum = self._known()
        with self.journal.open("rb") as journal:
            journal.seek(length)
            added = journal.read()
        with whole_file(self.file) as unfinished:
            unfinished.write_text(f"{length + len(added)} {zlib.crc32(added, checksum)}\n", encoding="utf-8")

    def _known(self) -> tuple[int, int]:
        """Length and checksum; a file that holds neither fits no journal."""
        found = (
            self.file.read_text(encoding="utf-8", errors="replace").split()
            if self.file.exists()
            else ["0", "0"]
        )
        if len(found) == 2 and all(word.isdecimal() for word in found):
            return int(found[0]), int(found[1])
        return 0, -1
