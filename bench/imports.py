"""How many lines of an access log `guardian import` takes a second, in each format.

    PYTHONPATH=. python bench/imports.py [--lines 200000]

Lines as the servers write them, of 3,000 people and 20,000 paths. A log of 8 MB and more is read by a process of its
own: then lines a second by the clock need two idle cores, and the CPU of the process that stores says how many they can
be.
"""

import argparse
import os
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from guardian.application.importing.run import Wanted, import_into
from guardian.core.access_log.formats import reader
from guardian.core.off_loop import no_collection
from guardian.stores.opening import backend

GOAL = 100_000
CADDY = (
    '{{"level":"info","ts":{at:.7f},"logger":"http.log.access","msg":"handled request","request":{{'
    '"remote_ip":"10.0.0.1","remote_port":"41342","client_ip":"10.0.0.1","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"{path}",'
    '"headers":{{"User-Agent":["curl/7.82.0"],"Accept":["*/*"],"Accept-Encoding":["gzip, deflate, br"]}},"tls":{{'
    '"resumed":false,"version":772,"cipher_suite":4865,"proto":"h2","server_name":"localhost"}}}},"bytes_read":0,"user_id":"{user}",'
    '"duration":0.000929675,"size":10900,"status":200,"resp_headers":{{"Server":["Caddy"],"Content-Type":["text/html"]}}}}\n'
)
TRAEFIK = (
    '{{"ClientAddr":"10.0.0.1:5000","ClientHost":"10.0.0.1","ClientPort":"5000","ClientUsername":"{user}",'
    '"DownstreamContentSize":123,"DownstreamStatus":200,"Duration":1234567,"OriginContentSize":123,"OriginDuration":'
    '1200000,"OriginStatus":200,"Overhead":34567,"RequestAddr":"example.com","RequestContentSize":0,"RequestCount":12,"RequestHost":'
    '"example.com","RequestMethod":"GET","RequestPath":"{path}","RequestPort":"-","RequestProtocol":"HTTP/2.0",'
    '"RequestScheme":"https","RetryAttempts":0,"RouterName":"app@docker","ServiceName":"app@docker","StartLocal":'
    '"{iso}123Z","StartUTC":"{iso}123Z","entryPointName":"websecure","level":"info","msg":"","time":"{iso}Z"}}\n'
)
UVICORN = '{iso}Z INFO:     10.0.0.1:50000 - "GET {path} HTTP/1.1" 200 OK\n'
NGINX = '10.0.0.1 - {user} [{clf}] "GET {path} HTTP/1.1" 200 2326 "-" "curl/7.82.0"\n'


def written(line: str, number: int, now: datetime) -> bytes:
    """A log of so many lines within the last hours."""
    chance, lines = random.Random(1), []
    for n in range(number):
        at = now - timedelta(hours=20) + timedelta(hours=19) * n / number
        lines.append(
            line.format(
                at=at.timestamp(), iso=f"{at:%Y-%m-%dT%H:%M:%S.%f}", clf=f"{at:%d/%b/%Y:%H:%M:%S +0000}",
                path=f"/api/threads/{chance.randrange(20_000)}?q={n}", user=f"u{chance.randrange(3_000)}@example.com",
            )
        )  # fmt: skip
    return "".join(lines).encode()


def _cpu() -> float:
    """Seconds of CPU of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=200_000)
    number, now = arguments.parse_args().lines, datetime.now(UTC)
    for name, line in (("nginx", NGINX), ("caddy", CADDY), ("traefik", TRAEFIK), ("uvicorn", UVICORN)):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "access.log"
            log.write_bytes(written(line, number, now))
            lines, read = log.read_bytes().splitlines(), reader(name, UTC)
            with no_collection():
                began = time.process_time()
                read(lines)
                parsed = time.process_time() - began
            wanted = Wanted(files=[str(log)], zone=UTC, now_us=int(now.timestamp() * 1e6), format=name)
            marks, cpu, began = [time.process_time()], _cpu(), time.perf_counter()
            walls: list[float] = []
            outcome = import_into(
                backend(Path(folder) / "guardian.db"), wanted, lambda *_: None,
                lambda marks=marks, walls=walls: (marks.append(time.process_time()), walls.append(time.perf_counter())),
                dry_run=False,
            )  # fmt: skip
            cpu = _cpu() - cpu
            marks.append(time.process_time())
            assert outcome.imported == number, outcome.reasons
        stored, whole = marks[1] - marks[0], marks[2] - marks[0]
        print(
            f"{name:8} {parsed / number * 1e6:4.1f} us a line; "
            f"{number / (walls[0] - began):8,.0f} lines/s read and stored (goal {GOAL:,}), "
            f"{number / stored:8,.0f} by the CPU of the process that stores; with adding up {number / whole:8,.0f}, "
            f"and {cpu / number * 1e6:4.1f} us of CPU in all"
        )


if __name__ == "__main__":
    main()
