"""A table of servers × stop signals × lifespan: what is kept of 40 answered requests, and how the server ends.

    python tests/suites/servers.py [--only WORDS] [--cases WORDS] [--cache FOLDER] [--tracker CHECKOUT]

The signal comes 300 ms after the last answer. A case in which something looks wrong is run once more with the same app
bare, so that the server's own ways are told from the tracker's. The servers live in an environment of their own, in a
temporary folder or in the one that `--cache` keeps; all listen on loopback, and each is killed in the end. Takes some
five minutes; pytest does not collect it.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from stopping import Case, run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ("uvicorn", "uvicorn-worker", "hypercorn", "trio", "granian", "daphne", "gunicorn", "httptools", "uvloop",
            "websockets", "starlette")  # fmt: skip

UVICORN = "-m uvicorn served:{app} --port {port} --log-level warning --timeout-graceful-shutdown 1"
GUNICORN = "-m gunicorn served:{app} -b 127.0.0.1:{port} --graceful-timeout 1 --log-level warning"
GRANIAN = "-m granian served:{app} --port {port} --log-level warning --workers-kill-timeout 2"
SERVERS = {
    "uvicorn": f"{UVICORN} --lifespan on",
    "uvicorn, no lifespan": f"{UVICORN} --lifespan off",
    "uvicorn, 2 workers": f"{UVICORN} --workers 2 --lifespan on",
    "uvicorn, 2 workers, no lifespan": f"{UVICORN} --workers 2 --lifespan off",
    "hypercorn": "-m hypercorn served:{app} -b 127.0.0.1:{port} --graceful-timeout 1",
    "hypercorn, trio": "-m hypercorn served:{app} -b 127.0.0.1:{port} --graceful-timeout 1 -k trio",
    "granian": f"{GRANIAN} --interface asgi",
    "granian, no lifespan": f"{GRANIAN} --interface asginl",
    "daphne, no lifespan": "-m daphne served:{app} -p {port} -v 0",
    "gunicorn, uvicorn.workers": f"{GUNICORN} -k uvicorn.workers.UvicornWorker",
    "gunicorn, uvicorn_worker": f"{GUNICORN} -k uvicorn_worker.UvicornWorker",
    "gunicorn, uvicorn_worker, no lifespan": f"{GUNICORN} -k served.NoLifespanWorker",
    "gunicorn, asgi": f"{GUNICORN} -k asgi --asgi-lifespan on",
    "gunicorn, asgi, no lifespan": f"{GUNICORN} -k asgi --asgi-lifespan off",
}


CASES = {
    "TERM": Case(),
    "INT": Case(how=signal.SIGINT),
    "added": Case(app="added"),
    "stream": Case(flight="/stream"),
    "slow": Case(flight="/slow"),
    "stream INT": Case(flight="/stream", how=signal.SIGINT),
    "socket": Case(flight="/socket"),
    "mounted": Case(app="mounted"),
    "locked": Case(locked=True),
    "blocked": Case(flight="/block", not_on=("trio",)),
    "closed": Case(app="closed", not_on=("trio", "no lifespan")),
}


def main() -> int:
    """Print the table; 1 where something is wrong with the tracker that is right without."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", default="", help="servers whose name begins so")
    made.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}; default: all")
    made.add_argument("--cache", help="keep the environment in this folder")
    made.add_argument("--tracker", default=str(ROOT), help="the checkout whose tracker is used; default: this one")
    options = made.parse_args()
    folder = Path(options.cache or tempfile.mkdtemp(prefix="servers-")).resolve()
    bad = 0
    try:
        python = prepare(folder, Path(options.tracker).resolve())
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {versions(python)}")
        print(f"{'server':38}{'case':12}{'kept':>8} {'in flight':20}{'exit':>5}{'s':>6}  {'fork':>5}  wrong")
        for server in SERVERS:
            for name in options.cases.split(","):
                if server.startswith(options.only) and not any(word in server for word in CASES[name].not_on):
                    bad += tell(folder, python, server, name)
    finally:
        if not options.cache:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if bad else 0


def prepare(folder: Path, tracker: Path) -> Path:
    """The Python that has the servers; made where it is missing."""
    python = folder / "servers-env" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "servers-env")], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        subprocess.run([*pip, *PACKAGES], check=True)
    path = folder / "servers-path"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    (path / "tracker").symlink_to(tracker / "tracker")
    (path / "served.py").symlink_to(HERE / "served.py")
    return python


def versions(python: Path) -> str:
    """What is installed, of what matters here."""
    ask = (
        "import importlib.metadata as m, sys; print(*(f'{name} {m.version(name)}' for name in sys.argv[1:]), sep=', ')"
    )
    return subprocess.run([str(python), "-c", ask, *PACKAGES], capture_output=True, text=True).stdout.strip()


def tell(folder: Path, python: Path, server: str, name: str) -> bool:
    """Run one case and print its line; whether the tracker is to blame for what is wrong."""
    case = CASES[name]
    end = run(folder, python, SERVERS[server], case)
    wrong = end.wrong(case)
    print(f"{server:38}{name:12}{end.kept:>5}/{end.answered:<2} {end.others:20}{end.exit!s:>5}{end.seconds:6.1f}  "
          f"{'' if end.fork_ms is None else end.fork_ms:>5}  {'; '.join(wrong)}", flush=True)  # fmt: skip
    for line in end.said()[:4]:
        print(f"      log: {line[:200]}")
    if end.counts != f"({end.kept}, {end.kept}, 0)" and wrong:
        print(f"      accepted, stored, dropped: {end.counts}")
    if not wrong:
        return False
    if end.tracebacks():
        print(f"      last line: {end.output.strip().splitlines()[-1][:200]}")
    bare = run(folder, python, SERVERS[server], case, bare=True)
    same = bare.exit == end.exit and abs(bare.seconds - end.seconds) < 1
    print(f"      bare: exit {bare.exit}, {bare.seconds:.1f} s, {bare.tracebacks()} tracebacks", flush=True)
    lost = any("lost" in word or "loss" in word or "fork" in word for word in wrong)
    return lost or not same or bare.tracebacks() < end.tracebacks()


if __name__ == "__main__":
    sys.exit(main())
