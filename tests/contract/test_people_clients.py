"""From where a person came is part of their export, and goes when they are erased."""

from datetime import UTC, datetime

from guardian.stores.sqlite.events import SqliteRepository
from tracker import Event, Recorder
from tracker.event import Client

ADA = "ada@example.com"
AT_US = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1_000_000


async def test_an_export_has_the_address_and_user_agent_and_an_erasure_takes_them(tmp_path):
    path = tmp_path / "guardian.db"
    recorder = Recorder(path)
    recorder.add(
        Event(AT_US, ADA, "/chat", "GET", "chat", 200, 1_000, None, None, Client("198.51.100.7", "curl/8.7.6"))
    )
    assert recorder.close()
    repository = await SqliteRepository.open(path)
    try:
        [session] = (await repository.export_user(ADA))["user_sessions"]
        assert (session["ip_address"], session["user_agent"]) == ("198.51.100.7", "curl/8.7.6")
        assert await repository.erase_user(ADA)
    finally:
        await repository.close()
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert b"198.51.100.7" not in kept and b"curl/8.7.6" not in kept
