"""Mail written into a folder, as long as no other transport is configured."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from guardian.core.files import replacing
from guardian.core.time import utc_now
from guardian.mail.transport import DeliveryError

log = logging.getLogger("guardian.mail")


_NAME = re.compile(r"(\d{8}T\d{6}\.\d{6})-[0-9a-f]{8}\.eml")


def _written_at(name: str) -> datetime | None:
    """When a mail of ours with this file name was written; None for a name that is none of ours."""
    match = _NAME.fullmatch(name)
    try:
        return datetime.strptime(match[1], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC) if match else None
    except ValueError:
        return None


class FileTransport:
    """Writes each message as an .eml file, whole or not at all, readable by its owner only."""

    name, channel, login = "files", "mail", None

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._said = False

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """See Transport. The file's name begins with the time; it ends the same for the same message."""
        try:
            await asyncio.to_thread(self._write, message, recipient)
        except OSError as error:
            raise DeliveryError(f"{self._directory} cannot be written: {error.strerror}") from None
        if not self._said:
            self._said = True
            log.warning("No mail server is configured: mail is written to %s (see [mail] smtp)", self._directory)

    def _write(self, message: bytes, recipient: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = blake2b(message + recipient.encode(), digest_size=4).hexdigest()
        name = f"{utc_now():%Y%m%dT%H%M%S.%f}-{digest}.eml"
        with replacing(self._directory / name) as file:
            file.buffer.write(message)

    @staticmethod
    def purge(directory: Path, before: datetime) -> int:
        """Delete the mails of the folder that were written before this moment; how many. Other files stay.

        Raises OSError where one cannot be deleted.
        """
        old = [path for path in directory.glob("*.eml") if (at := _written_at(path.name)) is not None and at < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    async def close(self) -> None:
        """See Transport: nothing is held open."""
