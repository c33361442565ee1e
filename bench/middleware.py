"""What a request costs more under each middleware: in process, and on uvicorn under wrk's load.

    .venv-bench/bin/python bench/middleware.py [--rounds 10] [--seconds 1] [--server-rounds 3] [--only NAMES]

Every candidate lives in a process of its own, since some patch Starlette for all; the rounds take turns, so that a busy
moment of the machine hits all alike, and the median counts. Times of `usage-guardian` include the identity, verified
from a token that is known already. What it does after the answer, in its thread, is in the column "CPU".
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.candidates import CANDIDATES, PATH, bearer, build  # noqa: E402

REQUESTS = 400
"""Requests of one timed stretch: below the recorder's batch, which is written right after."""
WARM_UP = 300
LAUNCHES = 4
"""Two processes of the same program differ by up to a microsecond a request, by where their memory happens to lie."""
CONNECTIONS = 8
PAUSE = Path(__file__).with_name("pause.lua")


def scope(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """What uvicorn makes of a request."""
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": headers, "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip


async def worker(name: str, database: str) -> None:
    """Answer each line on stdin with one stretch: wall and CPU nanoseconds a request, as JSON."""
    app, settle = build(name, database)
    headers = [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"bench"), (b"accept", b"*/*"),
               (b"accept-encoding", b"gzip"), (b"authorization", bearer().encode())]  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    async def stretch(number: int) -> tuple[float, float]:
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        for _ in range(number):
            await app(scope(headers), receive, send)
        if name.startswith("naive"):
            await settle()  # its tasks run in the host's own loop
        wall = time.perf_counter_ns() - wall
        await settle()
        return wall / number, (time.process_time_ns() - cpu) / number

    await stretch(WARM_UP)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(await stretch(REQUESTS)), flush=True)


def in_process(folder: Path, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Nanoseconds of a request, per candidate that is installed: the median, the best stretch, and CPU's median."""
    times: dict[str, list[tuple[float, float]]] = {}
    for launch in range(LAUNCHES):
        workers = {}
        for number, name in enumerate(CANDIDATES):
            process = subprocess.Popen(
                [sys.executable, __file__, "--worker", name, str(folder / f"{launch}-{number}.db")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
                env={**os.environ, "BENCH_FLUSH_INTERVAL": "3600", "PYTHONHASHSEED": str(launch)},
            )  # fmt: skip
            if process.stdout.readline().strip() == "ready":
                workers[name] = process
            elif not launch:
                print(f"{name}: missing, or it does not start; see bench/README.md")
        for _ in range(rounds):
            for name, process in workers.items():
                process.stdin.write("go\n")
                process.stdin.flush()
                times.setdefault(name, []).append(tuple(json.loads(process.stdout.readline())))
        for process in workers.values():
            process.kill()
            process.communicate()
    return {
        name: (statistics.median(wall), min(wall), statistics.median(cpu))
        for name, found in times.items()
        for wall, cpu in [tuple(zip(*found, strict=True))]
    }


def serve(name: str, database: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The candidate on a uvicorn of its own, and the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "--factory", "bench.candidates:served", "--port", str(port),
         "--log-level", "error", "--no-access-log"],
        cwd=ROOT, env={**os.environ, "BENCH_NAME": name, "BENCH_DATABASE": str(database)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"{name} does not listen")


def load(port: int, seconds: int, *options: str) -> tuple[float, float]:
    """Requests a second, and the 99th percentile in milliseconds, as wrk reports them."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", *options]
    command += ["-H", f"Authorization: {bearer()}", f"http://127.0.0.1:{port}{PATH}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in text, text
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    return rate, float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def on_server(folder: Path, names: list[str], rounds: int, seconds: int) -> dict[str, tuple[float, ...]]:
    """Medians per candidate: requests a second and 99th percentile as fast as it can, then both with pauses."""
    servers = {name: serve(name, folder / f"served-{number}.db") for number, name in enumerate(names)}
    try:
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
        for name in names:
            load(servers[name][1], 1)
        for number in range(rounds):
            # Forwards and backwards, so that no candidate always follows the same one.
            for name in names if number % 2 else reversed(names):
                for _, (process, _) in servers.items():
                    process.send_signal(signal.SIGSTOP)
                servers[name][0].send_signal(signal.SIGCONT)
                port = servers[name][1]
                found[name].append((*load(port, seconds, "-s", str(PAUSE)), *load(port, seconds)))
    finally:
        for process, _ in servers.values():
            process.kill()
            process.wait()
    return {name: tuple(map(statistics.median, zip(*times, strict=True))) for name, times in found.items()}


def import_milliseconds() -> float:
    """The median of 9 imports of the tracker, each in a new process, compiled beforehand."""
    code = "import time; began = time.perf_counter(); import tracker; print((time.perf_counter() - began) * 1000)"
    env = {**os.environ, "PYTHONPYCACHEPREFIX": tempfile.gettempdir() + "/bench-pyc"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    runs = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True) for _ in range(10)]
    return statistics.median(float(done.stdout) for done in runs[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="stretches of 400 requests in each of 4 processes")
    parser.add_argument("--seconds", type=int, default=1, help="of load in a round on a server")
    parser.add_argument("--server-rounds", type=int, default=3, help="rounds of load for each candidate")
    parser.add_argument("--no-server", action="store_true", help="leave uvicorn and wrk out")
    parser.add_argument("--only", help="comma-separated beginnings of names; the bare app and the no-op always run")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        asyncio.run(worker(*options.worker))
        return
    if options.only:
        wanted = ("bare", "no-op", *options.only.split(","))
        for name in [name for name in CANDIDATES if not name.startswith(wanted)]:
            del CANDIDATES[name]
    print(f"import tracker: {import_milliseconds():.0f} ms\n")
    with tempfile.TemporaryDirectory() as folder:
        found = in_process(Path(folder), options.rounds)
        base = found["no-op middleware"]
        own = found["usage-guardian"][0] - base[0] if "usage-guardian" in found else 0
        print(
            f"{'in process, µs a request':36}{'in all':>8}{'added':>9}{'ratio':>8}{'best, added':>14}{'CPU, added':>12}"
        )
        for name, times in found.items():
            median, best, cpu = ((mine - theirs) / 1000 for mine, theirs in zip(times, base, strict=True))
            ratio = f"{median * 1000 / own:.1f}×" if own > 0 and median > 0 else ""
            print(f"{name:36}{times[0] / 1000:8.1f}{median:9.2f}{ratio:>8}{best:14.2f}{cpu:12.2f}")
        print("added: to the no-op middleware, medians, and of the best stretch; ratio: to what usage-guardian adds;")
        print("CPU: of the process, what it does after the answer and in its threads included\n")
        if options.no_server or shutil.which("wrk") is None:
            print("on uvicorn: left out" + ("" if options.no_server else ", wrk is not installed"))
            return
        served = on_server(Path(folder), list(found), options.server_rounds, options.seconds)
        calm, calm_p99, rate, p99 = served["bare app"]
        print(f"{f'on uvicorn, {CONNECTIONS} connections':36}{'calm p99':>10}{'of bare':>9}", end="")
        print(f"{'full req/s':>12}{'of bare':>9}{'p99':>8}{'of bare':>9}")
        for name, (_, mine, full, slow) in served.items():
            print(
                f"{name:36}{mine:10.2f}{mine / calm_p99:9.0%}{full:12.0f}{full / rate:9.0%}{slow:8.2f}{slow / p99:9.0%}"
            )
        print(f"p99 in ms; calm: about {calm:.0f} req/s, full: as many as it takes, on all cores of this machine")


if __name__ == "__main__":
    main()
