"""Whether the tracker, and the daemon, can be installed beside the newest of well-known packages. Run by hand.

Needs uv (pip install uv). Asks uv to resolve each package together with ours, for the Python that runs this,
without installing anything, and prints a table in Markdown for docs/install.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = {"tracker": "usage-guardian-tracker[jwt] @ {tracker}", "daemon": "usage-guardian @ {root}"}
OTHERS = (
    "apitally[fastapi]", "chainlit", "datasette", "django", "elastic-apm", "fastapi[standard]",
    "fastapi-users[sqlalchemy]", "fastmcp", "gradio", "langchain", "langserve[all]", "litellm[proxy]",
    "litestar[standard]", "logfire[fastapi]", "marimo", "mcp", "mlflow", "newrelic", "nicegui", "open-webui",
    "opentelemetry-sdk", "opentelemetry-instrumentation-fastapi", "prefect", "prometheus-fastapi-instrumentator",
    "quart", "reflex", "sentry-sdk[fastapi]", "sqladmin", "starlette-admin", "strawberry-graphql[fastapi]",
    "streamlit", "titiler.core",
)  # fmt: skip


def resolve(other: str, ours: str | None) -> tuple[str | None, str]:
    """The version of `other` that uv chooses beside `ours` (None: alone); None and uv's reason where there is none."""
    needs = [other] + ([] if ours is None else [OURS[ours].format(tracker=ROOT / "tracker", root=ROOT)])
    if ours == "daemon":  # the index need not have this checkout's tracker
        needs.append(OURS["tracker"].format(tracker=ROOT / "tracker"))
    with tempfile.NamedTemporaryFile("w", suffix=".in") as file:
        file.write("\n".join(needs))
        file.flush()
        done = subprocess.run(
            ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", sys.executable, file.name],
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
    name = re.escape(re.sub(r"\[.*", "", other)).replace(r"\.", "[.-]")
    found = re.search(rf"^{name}(?:\[.*?\])?==(\S+)", done.stdout, re.MULTILINE | re.IGNORECASE)
    return (found[1], "") if done.returncode == 0 and found else (None, " ".join(done.stderr.split()))


def row(other: str) -> tuple[str, list[str]]:
    """The table's line of one package, and a sentence for each of ours that does not fit beside its newest release."""
    alone, why = resolve(other, None)
    if alone is None:
        return f"| `{other}` | cannot be resolved alone | – | – |", [f"{other}: {why}"]
    cells, reasons = [], []
    for ours in OURS:
        version, why = resolve(other, ours)
        cells.append("yes" if version == alone else f"only {version}" if version else "no")
        if version != alone:
            reasons.append(f"{other} and the {ours}: {why or f'{version} instead of {alone}'}")
    return f"| `{other}` | {alone} | {' | '.join(cells)} |", reasons


def main() -> int:
    """Print the table, and the reasons after it; 1 where ours kept one from its newest release, or kept it out."""
    print("| package | its newest | beside the tracker | beside the daemon |\n| --- | --- | --- | --- |")
    said: list[str] = []
    with ThreadPoolExecutor(6) as pool:  # uv waits for the index, not for the processor
        for line, reasons in pool.map(row, sys.argv[1:] or OTHERS):
            print(line, flush=True)
            said += reasons
    print("\n".join(said), file=sys.stderr)
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
