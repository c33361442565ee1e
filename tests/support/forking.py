"""Processes forked from one that has loaded the libraries: to load them takes longer than most commands do.

`forking(…)` starts that process; this file is also its program, which needs nothing of the tests. A command still
imports Guardian's own modules anew, in the order it has; tests of what runs long let them be loaded, too.
"""

import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

LIBRARIES = (
    "typer._adapters", "typer.main", "pydantic_settings", "numpy", "jinja2", "babel.dates", "rich.console",
    "rich.table", "starlette.applications", "uvicorn", "httpx2", "aiosqlite", "aiosmtplib", "PIL.Image", "css_inline",
)  # fmt: skip
"""What `pip install usage-guardian` brings and takes long to load; none of an extra's."""
GUARDIAN = (
    "guardian.cli", "guardian.web.daemon", "guardian.application.importing.run", "guardian.application.moving.copying",
    "guardian.stores.sqlite.moving", "google.cloud.firestore",
)  # fmt: skip
"""All that a daemon, an import or a move loads."""
SECONDS = 600
"""A guard against hanging, as long as a demo may take on a busy machine."""


@contextmanager
def forking(python=sys.executable, *, path=(), libraries=LIBRARIES):
    """What forks processes of this interpreter, with `path` in front of what they import from: see Loaded."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GUARDIAN_"))}
    process = subprocess.Popen(
        [python, __file__, json.dumps({"path": [*map(str, path)], "libraries": libraries})],
        env={**clean, "OPENBLAS_NUM_THREADS": "1"},  # a process with threads is not to be forked
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Loaded(process, folder)
            process.stdin.close()
            process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Loaded:
    """A process that has loaded what others need, and forks them."""

    def __init__(self, process, folder):
        self._process, self._folder, self._numbers = process, folder, count()

    def __call__(self, *arguments, cwd, env, program=None):
        """Run a command to its end: `run("report", "--json", cwd=folder, env={…})` gives its exit code, stdout and
        stderr. With `program="…"` that text of Python runs with these arguments instead."""
        child = self.start(*arguments, cwd=cwd, env=env, program=program)
        return self.ask("wait", pid=child.pid, options=0), *(Path(each).read_text() for each in child.streams)

    def start(self, *arguments, cwd, env, program=None, descriptors=None):
        """The same, and do not wait for its end: a Fork. It may have so many descriptors."""
        number = next(self._numbers)
        streams = [f"{self._folder}/{number}.{name}" for name in ("out", "err")]
        for each in streams:
            Path(each).touch()  # so that they can be read at once
        asked = {"arguments": arguments, "cwd": str(cwd), "env": env, "streams": streams, "program": program}
        return Fork(self, self.ask("fork", **asked, descriptors=descriptors), streams)

    def ask(self, what, **values):
        """What the process answers."""
        self._process.stdin.write(json.dumps([what, values]) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], SECONDS)[0]:
            self._process.kill()
            raise AssertionError(f"no answer to {what} {values} within {SECONDS} s")
        return json.loads(self._process.stdout.readline())


class Fork:
    """A process that was forked; as far as tests ask for it, what Popen is for others."""

    def __init__(self, parent, pid, streams):
        self.pid, self.streams, self._parent, self._code = pid, streams, parent, None

    def poll(self):
        """Its exit code, None while it runs."""
        if self._code is None:
            self._code = self._parent.ask("wait", pid=self.pid, options=os.WNOHANG)
        return self._code

    def wait(self, seconds=SECONDS):
        """Its exit code, once it has ended; fails after so many seconds."""
        ends = time.monotonic() + seconds
        while self.poll() is None:
            assert time.monotonic() < ends, f"it did not end within {seconds} s, and said {self.said()}"
            time.sleep(0.01)
        return self._code

    def wait_until_stopped(self):
        """Wait until each of its threads stands still, after SIGSTOP, or it has ended."""
        self._parent.ask("wait", pid=self.pid, options=os.WUNTRACED)

    def send_signal(self, number):
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        """By SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """By SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def said(self):
        """What it has written on stderr so far."""
        return Path(self.streams[1]).read_text()


def serve(path, libraries):
    """Do what each line of stdin asks for, and write the answer to stdout; at the end, kill what still runs."""
    sys.path[0:1] = path  # instead of the folder of this file
    for each in libraries:
        __import__(each)
    gc.freeze()  # so that no child copies all of it when it ends
    answers, codes = os.fdopen(os.dup(1), "w"), {}
    for line in sys.stdin:
        what, asked = json.loads(line)
        if what == "fork":
            child = answer = os.fork()
            if not child:
                answers.close()
                command(**asked)
            codes[child] = None
        else:
            answer = ended(codes, **asked)
        print(json.dumps(answer), file=answers, flush=True)
    for child, code in codes.items():
        if code is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def ended(codes, pid, options):
    """The exit code of a child, which is kept; None where it runs or stands still."""
    if codes[pid] is None:
        changed, status = os.waitpid(pid, options)
        if changed and not os.WIFSTOPPED(status):
            codes[pid] = os.waitstatus_to_exitcode(status)
    return codes[pid]


def command(arguments, cwd, env, streams, program, descriptors):
    """What the process of a command or program does; ends by SystemExit, as it does."""
    if descriptors:
        import resource  # here: not on Windows

        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, place in enumerate((os.devnull, *streams)):
        opened = os.open(place, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0)
    sys.argv = ["guardian", *arguments]
    if program is not None:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
        sys.exit()
    from guardian.cli import main

    main(arguments)


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
