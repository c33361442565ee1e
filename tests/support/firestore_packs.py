"""A database on Firestore with forty days, most of which are in packs, and what these have."""

from datetime import UTC, datetime, timedelta

from guardian.core.time import micros
from guardian.stores.firestore import packs, seals, writing
from guardian.stores.firestore.buckets import DAY
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.progress import read_progress
from tests.support.events import event as made
from tracker.event import Failure

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 40
END = BEGIN + timedelta(days=DAYS, hours=3)


def event(at, user="ada@example.com", status=200):
    failure = Failure("Boom", f"no {at:%d %H:%M}", "app.py:3 f") if status >= 400 else None
    return made(micros(at), user=user, status=status, failure=failure)


async def filled(address, without=()):
    """Somebody is there each twelve hours, but not on the days `without`; some requests fail."""
    repository = FirestoreRepository(address)
    times = [BEGIN + timedelta(hours=n) for n in range(0, DAYS * 24, 12) if n // 24 not in without]
    writing.write(
        repository.documents,
        [event(at, f"u{n % 3}@example.com", 500 if n % 5 == 0 else 200) for n, at in enumerate(times)],
    )
    await repository.seal(END)
    await repository.seal(END)
    return repository


def packed(repository):
    """The days that packs have: {day: blob}, each as the pack has it."""
    progress = read_progress(repository.documents)
    found = {}
    for start in progress.packs:
        days = [day for day in range(start, start + packs.PACK, DAY) if packs.is_packed(progress, day)]
        for (first, end), documents in packs.days_of(repository.documents, progress, [(start, start + packs.PACK)]):
            there = dict(seals.blobs(documents))
            found |= {day: there.get(day) for day in days if first <= day < end}
    return found


def assert_as_the_days_are(repository):
    """Each pack has each of its days as the day's own document has it, and there is no document of another pack."""
    documents = repository.documents
    alone = dict(seals.blobs(documents.named(seals.SEALS, "d", "e")))
    for day, blob in packed(repository).items():
        assert blob == alone.get(day)
    there = {seals.start_of(name) for name in documents.names(seals.SEALS, "p", "q")}
    assert there == {start for start, token in read_progress(documents).packs.items() if token != packs.ALONE}


async def answers(address, monkeypatch, start):
    """What a new process answers, with packs and without."""
    found = []
    for days_of in (packs.days_of, lambda *asked: iter(())):
        with monkeypatch.context() as patched:
            patched.setattr(packs, "days_of", days_of)
            repository = FirestoreRepository(address)
            edges = [start + timedelta(days=n) for n in range(0, (END - start).days, 5)]
            found.append(
                (await repository.timeline(edges), await repository.turnover(edges[-4:]), await repository.gone_quiet(
                    edges[-2], edges[-1]), await repository.activity([edges[0], edges[-1]]))
            )  # fmt: skip
    return found
