"""Commits to Firestore, in which many documents are written at once."""

from guardian.stores.firestore.documents import Change, in_commits


def test_no_commit_is_longer_than_the_emulator_takes():
    groups = [[Change("x", f"{n}", {"body": bytes(900_000)})] for n in range(12)]
    made = list(in_commits(groups))
    assert [change for some in made for change in some] == [change for [change] in groups]
    assert max(sum(len(each.fields["body"]) for each in some) for some in made) < 3_000_000
