"""Long work in small steps: all of it is done, in steps that fit the machine, with a pause as long after each."""

import pytest

from guardian.stores.sqlite import pacing


@pytest.mark.parametrize("left", [0, 1, 99, 100, 101, 5_000])
def test_all_of_it_is_done(monkeypatch, left):
    monkeypatch.setattr(pacing, "sleep", lambda seconds: None)
    todo = [left]

    def step(number):
        done = min(number, todo[0])
        todo[0] -= done
        return done

    assert pacing.in_portions(step) == left
    assert todo == [0]


@pytest.mark.parametrize(("cost", "largest"), [(0.000_001, pacing.MOST), (0.000_1, 25), (0.01, pacing.LEAST)])
def test_steps_are_as_large_as_can_be_done_in_four_milliseconds_and_pauses_as_long(monkeypatch, cost, largest):
    now, sizes, pauses = [0.0], [], []
    monkeypatch.setattr(pacing, "perf_counter", lambda: now[0])
    monkeypatch.setattr(pacing, "sleep", pauses.append)
    todo = [20_000]

    def step(number):
        done = min(number, todo[0])
        todo[0] -= done
        sizes.append(number)
        now[0] += number * cost
        return done

    pacing.in_portions(step)
    settled = sizes[len(sizes) // 2 :]
    assert max(settled) <= max(2 * largest, pacing.LEAST)
    assert max(settled) >= largest
    assert all(pause >= pacing.LONG for pause in pauses)
    assert sum(pauses) >= sum(size * cost for size in sizes[:-1])
