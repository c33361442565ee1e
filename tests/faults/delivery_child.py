"""Delivers the outbox once for each line on stdin ("database port seconds"), in a process forked for it.

It prints the pid of each, and "done" when that ended by itself. Forking makes a start a matter of milliseconds.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta

from guardian.mail.transports.smtp import SmtpTransport
from guardian.settings.schema import SmtpSettings
from guardian.stores.sqlite.state import SqliteStateStore
from tests.support.delivering import deliver_due


async def deliver(database: str, port: int, seconds: float) -> None:
    state = await SqliteStateStore.open(database)
    transport = SmtpTransport(SmtpSettings(host="127.0.0.1", port=port, security="none", timeout_seconds=60))
    # Each process lives ten minutes after the one before, so that the leases of the dead have ended.
    now = datetime(2026, 3, 16, tzinfo=UTC) + timedelta(seconds=seconds)
    holder = f"test/{os.getpid()}"
    while (await deliver_due(state, [transport], now=now, holder=holder, limit=1, random=lambda: 0.0)).tried:
        pass
    await transport.close()
    await state.close()


for line in sys.stdin:
    database, port, seconds = line.split()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(deliver(database, int(port), float(seconds)))
        finally:
            os._exit(0)
    sys.stdout.write(f"{child}\n")
    sys.stdout.flush()
    _, status = os.waitpid(child, 0)
    sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else "done\n")
    sys.stdout.flush()
