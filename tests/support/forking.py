"""Commands of `guardian` as processes of their own, forked from one that has loaded the libraries: to load them takes
longer than most commands do. Each child still imports Guardian's own modules anew, in the order of its command.

`forking(…)` starts that process; this file is also its program, which needs nothing of the tests. Tests that run one
program many times may let it load more than that.
"""

import gc
import json
import os
import select
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

LIBRARIES = (
    "typer._adapters", "typer.main", "pydantic_settings", "numpy", "jinja2", "babel.dates", "rich.console",
    "rich.table", "starlette.applications", "uvicorn", "httpx2", "aiosqlite", "aiosmtplib", "PIL.Image", "css_inline",
)  # fmt: skip
"""What `pip install usage-guardian` brings and takes long to load; none of an extra's."""
SECONDS = 120


@contextmanager
def forking(python=sys.executable, *, path=(), libraries=LIBRARIES):
    """A function that runs a command with this interpreter, and `path` in front of what it imports from:
    `run("report", "--json", cwd=folder, env={…})` gives its exit code, stdout and stderr. With `program="…"` that text
    of Python runs with these arguments instead."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GUARDIAN_"))}
    process = subprocess.Popen(
        [python, __file__, json.dumps({"path": [*map(str, path)], "libraries": libraries})],
        env={**clean, "OPENBLAS_NUM_THREADS": "1"},  # a process with threads is not to be forked
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def run(*arguments, cwd, env, program=None):
        with tempfile.TemporaryDirectory() as folder:
            streams = [f"{folder}/out", f"{folder}/err"]
            asked = {"arguments": arguments, "cwd": str(cwd), "env": env, "streams": streams, "program": program}
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], SECONDS)[0]:
                process.kill()
                raise AssertionError(f"{' '.join(arguments)} did not end within {SECONDS} s")
            return int(process.stdout.readline()), *(Path(each).read_text() for each in streams)

    try:
        yield run
    finally:
        process.stdin.close()
        process.wait(SECONDS)
        process.stdout.close()


def serve(path, libraries):
    """Fork a child for each line of stdin, and write its exit code to stdout."""
    sys.path[0:1] = path  # instead of the folder of this file
    for each in libraries:
        __import__(each)
    gc.freeze()  # so that no child copies all of it when it ends
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            answers.close()
            command(**asked)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def command(arguments, cwd, env, streams, program):
    """What the process of a command or program does; ends by SystemExit, as it does."""
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
