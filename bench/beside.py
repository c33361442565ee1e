"""How long a report takes, and how long DuckDB and polars take for the same numbers of the same events, in one run.

    python bench/beside.py [guardian.db] [--end 2026-03-31T12:03:07+00:00] [--runs 5]

The database is read, and sealed; make a copy. Without one, one of a million events is made as by bench/past.py.
DuckDB gets the events as a table of its own, polars as Parquet, both in the order of time. What each works out:
requests, errors, time and features of every person, outcomes and quantiles of each route, the timeline, the newest 20
errors of each person, the totals of the period before, the server errors of eight more, and who went quiet. Compared
are requests, errors, minutes, features (the most used first) and newest errors of each person, the bars, the period
before and the eight more, the quiet people, and the quantiles within 1 %: a difference ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import polars as pl

from bench import past
from guardian.application.usage import UsageGuardian
from guardian.core.quiet import LAST_THING, REGULAR_REQUESTS, REGULAR_SPAN, quiet_window
from guardian.core.report.comparing import earlier_periods
from guardian.core.report.timeline import bar_edges
from guardian.core.time import micros, moment
from guardian.stores.sqlite.events import SqliteRepository
from tracker.event import ANONYMOUS, SESSION_GAP_US
from tracker.sqlite.connection import connect

US = timedelta(microseconds=1)
COLUMNS = ("us", "user", "route", "status", "duration", "latency")
SQL = "SELECT id >> 10, user, route, status, duration_us, coalesce(latency_us, duration_us) FROM guardian_request"
QUANTILES = (0.5, 0.95, 0.99)


class Window:
    """What is asked: moments in microseconds."""

    def __init__(self, start: datetime, end: datetime, nobody: int) -> None:
        self.nobody = nobody
        self.start, self.end = micros(start), micros(end)
        self.before = micros(start - (end - start))
        edges = bar_edges(start, end, ZoneInfo("UTC"))
        self.bar = (edges[2] - edges[1]) // US
        self.look_back, self.since, self.until = map(micros, quiet_window(start, end))
        self.earlier = [(micros(a), micros(b)) for a, b in earlier_periods(start, end, ZoneInfo("UTC"))]


def by_duckdb(db: duckdb.DuckDBPyConnection, w: Window) -> dict[str, Any]:
    """The numbers of a report, by DuckDB."""

    def ask(sql: str) -> dict[str, np.ndarray]:
        return db.execute(sql).fetchnumpy()

    inside = f"FROM e WHERE us >= {w.start} AND us < {w.end}"
    earlier = " UNION ALL ".join(
        f"SELECT {place} AS place, count(*) AS n, count(*) FILTER (status >= 500) AS bad "
        f"FROM e WHERE us >= {a} AND us < {b}"
        for place, (a, b) in enumerate(w.earlier)
    )
    return {
        "users": ask(f"""
            SELECT user, count(*) AS n, count(*) FILTER (status >= 400) AS bad,
                   sum(CASE WHEN last IS NULL OR us - duration - last >= {SESSION_GAP_US} THEN duration
                       ELSE us - last END)
                       - greatest(0, {w.start} - arg_min(us - duration, us)) AS active
            FROM (SELECT *, lag(us) OVER (PARTITION BY user ORDER BY us) AS last {inside})
            WHERE user != {w.nobody} GROUP BY user ORDER BY user"""),
        "used": ask(f"SELECT user, route, count(*) AS n {inside} GROUP BY ALL"),
        "outcomes": ask(f"SELECT route, status, count(*) AS n {inside} GROUP BY ALL"),
        "quantiles": ask(f"SELECT quantile_disc(latency, {list(QUANTILES)}) AS q {inside}"),
        "by_route": ask(f"SELECT route, quantile_disc(latency, {list(QUANTILES)}) AS q {inside} GROUP BY route"),
        "bars": ask(f"""SELECT us // {w.bar} AS bar, count(*) AS n, count(*) FILTER (status >= 400) AS bad,
                        count(DISTINCT user) FILTER (user != {w.nobody}) AS people {inside}
                        GROUP BY bar ORDER BY bar"""),
        "errors": ask(f"""SELECT us, user, route, status FROM (SELECT *, row_number() OVER (PARTITION BY user ORDER BY
                          us DESC) AS place {inside} AND status >= 400) WHERE place <= 20"""),
        "previous": ask(f"""SELECT count(*) AS n, count(*) FILTER (status >= 400) AS bad, count(DISTINCT user)
                            FILTER (user != {w.nobody}) AS people FROM e WHERE us >= {w.before} AND us < {w.start}"""),
        "earlier": ask(f"SELECT * FROM ({earlier}) ORDER BY place"),
        "quiet": ask(f"""
            SELECT user FROM e WHERE us >= {w.look_back} AND us < {w.end} AND user != {w.nobody} GROUP BY user
            HAVING max(us) >= {w.since} AND max(us) < {w.until} AND count(*) >= {REGULAR_REQUESTS}
                AND max(us) - arg_min(us - duration, us) >= {REGULAR_SPAN // US}
                AND max(us) - coalesce(max(us) FILTER (status >= 400), 0) <= {LAST_THING // US}"""),
    }


def by_polars(events: pl.LazyFrame, w: Window) -> dict[str, Any]:
    """The same, by polars."""
    at, user, status = pl.col("us"), pl.col("user"), pl.col("status")
    n, bad = pl.len().alias("n"), (status >= 400).sum().alias("bad")
    inside = events.filter(at >= w.start, at < w.end).collect()
    known = inside.filter(user != w.nobody)
    people = user.filter(user != w.nobody).n_unique().alias("people")
    last = at.shift(1).over("user").alias("last")
    began = at - pl.col("duration")
    active = pl.when(pl.col("last").is_null() | (began - pl.col("last") >= SESSION_GAP_US))
    active = active.then(pl.col("duration")).otherwise(at - pl.col("last")).sum()
    cut = pl.max_horizontal(pl.lit(0), w.start - began.first())
    quantiles = [pl.col("latency").quantile(q, "equiprobable").alias(str(q)) for q in QUANTILES]
    before = events.filter(at >= w.before, at < w.start)
    past = events.filter(at >= w.look_back, at < w.end, user != w.nobody).group_by("user")
    counted = past.agg(
        n, at.max().alias("last"), began.first().alias("first"), at.filter(status >= 400).max().alias("e")
    )
    gone = counted.filter(
        pl.col("last") >= w.since,
        pl.col("last") < w.until,
        pl.col("n") >= REGULAR_REQUESTS,
        pl.col("last") - pl.col("first") >= REGULAR_SPAN // US,
        pl.col("last") - pl.col("e") <= LAST_THING // US,
    )
    server = (status >= 500).sum().alias("bad")
    earlier = [events.filter(at >= a, at < b).select(n, server) for a, b in w.earlier]
    return {
        "users": known.with_columns(last).group_by("user").agg(n, bad, (active - cut).alias("active")).sort("user"),
        "used": known.group_by("user", "route").agg(n),
        "outcomes": inside.group_by("route", "status").agg(n),
        "quantiles": inside.select(quantiles),
        "by_route": inside.group_by("route").agg(quantiles),
        "bars": inside.group_by((at // w.bar).alias("bar")).agg(n, bad, people).sort("bar"),
        "errors": inside.filter(status >= 400).group_by("user").tail(20),
        "previous": before.select(n, bad, people).collect(),
        "earlier": pl.concat(pl.collect_all(earlier)),
        "quiet": gone.select("user").collect(),
    }


def told(
    found: dict[str, Any], names: dict[int, str], features: dict[int, str], quantiles: list[float]
) -> dict[str, Any]:
    """The numbers that are compared, of either."""

    def rows(table: str, *columns: str) -> list[tuple[int, ...]]:
        return list(zip(*(np.asarray(found[table][name]).astype(int).tolist() for name in columns), strict=True))

    [(requests, errors, people)] = rows("previous", "n", "bad", "people")
    users = rows("users", "user", "n", "bad", "active")
    used: dict[str, dict[str, int]] = {names[user]: {} for user, *_ in users}
    for user, route, n in rows("used", "user", "route", "n"):
        if names[user] in used:
            mine = used[names[user]]
            mine[features[route]] = mine.get(features[route], 0) + n
    newest: dict[str, list[tuple[int, int]]] = {name: [] for name in used}
    for us, user, status in sorted(rows("errors", "us", "user", "status")):
        newest.get(names[user], []).append((us, status % 1000))
    return {
        "users": {names[user]: (n, bad, (active + 30_000_000) // 60_000_000) for user, n, bad, active in users},
        "features": {name: sorted(mine, key=lambda f: (-mine[f], f)) for name, mine in used.items()},
        "errors": newest,
        "earlier": rows("earlier", "n", "bad"),
        "bars": rows("bars", "n", "bad", "people"),
        "previous": (requests, errors, people),
        "quiet": sorted(names[u] for (u,) in rows("quiet", "user")),
        "quantiles": [q / 1000 for q in quantiles],
    }  # fmt: skip


def ours(report: dict[str, Any], earlier: list[Mapping[int, int]]) -> dict[str, Any]:
    """The same numbers of a report that names everyone, and of the outcomes of the earlier periods."""
    before = report["previous"]
    return {
        "users": {
            u["email"]: (u["requests_count"], u["errors_count"], u["total_time_minutes"]) for u in report["users"]
        },
        "features": {u["email"]: u["features_used"] for u in report["users"]},
        "errors": {
            u["email"]: [(micros(datetime.fromisoformat(e["timestamp"])), e["code"]) for e in u["errors"]]
            for u in report["users"]
        },
        "earlier": [
            (sum(found.values()), sum(n for outcome, n in found.items() if outcome >= 500)) for found in earlier
        ],
        "bars": [(b["requests"], b["errors"], b["active_users"]) for b in report["timeline"] if b["requests"]],
        "previous": tuple(before[name] for name in ("total_requests", "total_errors", "active_users")),
        "quiet": sorted(each["email"] for each in report["gone_quiet"]),
        "quantiles": list(report["latency_ms"].values()),
    }


def check(mine: dict[str, Any], other: dict[str, Any], who: str) -> None:
    """Ends the run where a number differs."""
    for name, value in mine.items():
        same = value == other[name]
        if name == "quantiles":
            same = all(abs(a - b) <= 0.0101 * b + 0.01 for a, b in zip(value, other[name], strict=True))
        elif name == "quiet" and len(value) == 20:
            same = set(value) <= set(other[name])  # the report names the busiest 20
        if not same:
            said = f": {value} and {other[name]}" if name in ("previous", "earlier", "quantiles") else ""
            raise SystemExit(f"{name}: the report and {who} differ{said}")


def milliseconds(work: Callable[[], Any], runs: int) -> float:
    """The median of so many runs."""
    times = []
    for _ in range(runs):
        begin = perf_counter()
        work()
        times.append((perf_counter() - begin) * 1000)
    return statistics.median(times)


async def main(path: str, end: datetime, runs: int, folder: Path) -> None:
    """Prints a row for each window."""
    with closing(connect(path)) as db:
        names = dict(db.execute("SELECT id, email FROM guardian_user"))
        features = dict(db.execute("SELECT id, feature FROM guardian_route"))
        cursor, parts = db.execute(SQL), []
        while rows := cursor.fetchmany(500_000):
            parts.append(np.array(rows, np.int64))
    table = np.concatenate(parts)
    frame = pl.DataFrame(dict(zip(COLUMNS, table.T, strict=True))).with_columns(
        pl.col("user", "duration", "latency").cast(pl.Int32), pl.col("route", "status").cast(pl.Int16)
    )
    frame.write_parquet(folder / "events.parquet", row_group_size=100_000)
    duck = duckdb.connect(str(folder / "events.duckdb"))
    duck.execute(f"CREATE TABLE e AS SELECT * FROM '{folder / 'events.parquet'}'")
    del table, parts, frame
    everything = pl.scan_parquet(folder / "events.parquet")
    repository = await SqliteRepository.open(path)
    try:
        await compare(repository, end, runs, (duck, everything), (names, features))
    finally:
        await repository.close()


async def compare(
    repository: SqliteRepository,
    end: datetime,
    runs: int,
    peers: tuple[duckdb.DuckDBPyConnection, pl.LazyFrame],
    words: tuple[dict[int, str], dict[int, str]],
) -> None:
    """Prints a row for each window. Ends the run where a number differs."""
    (duck, everything), (names, features) = peers, words
    nobody = next((number for number, name in names.items() if name == ANONYMOUS), -1)
    guardian = UsageGuardian(repository, clock=lambda: end)
    await repository.seal(end)
    print("hours   1,000 people   everyone     DuckDB     polars   everyone beside DuckDB, polars")
    for hours in (2, 24, 720):
        w = Window(end - timedelta(hours=hours), end, nobody)
        both = by_duckdb(duck, w), by_polars(everything, w)
        earlier = await repository.outcomes([(moment(a), moment(b)) for a, b in w.earlier])
        mine = ours(await guardian.generate_report(hours=hours), earlier)
        check(mine, told(both[0], names, features, both[0]["quantiles"]["q"][0]), "DuckDB")
        check(mine, told(both[1], names, features, both[1]["quantiles"].row(0)), "polars")
        times = [[], []]
        for _ in range(runs):
            for most, found in zip((1000, None), times, strict=True):
                begin = perf_counter()
                await guardian.generate_report(hours=hours, max_users=most)
                found.append((perf_counter() - begin) * 1000)
        some, all_ = map(statistics.median, times)
        theirs = [
            milliseconds(lambda w=w: by_duckdb(duck, w), runs),
            milliseconds(lambda w=w: by_polars(everything, w), runs),
        ]
        print(
            f"{hours:5} {some:11.1f} ms {all_:7.1f} ms {theirs[0]:7.1f} ms {theirs[1]:7.1f} ms"
            f"   {all_ / theirs[0]:.2f}x, {all_ / theirs[1]:.2f}x", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("database", nargs="?")
    options.add_argument("--end", type=datetime.fromisoformat, default=past.NOW)
    options.add_argument("--runs", type=int, default=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        database = Path(given.database or Path(name) / "guardian.db")
        if not given.database:
            past.store(database, 1_000_000, 60, 5_000)
        asyncio.run(main(str(database), given.end, given.runs, Path(name)))
