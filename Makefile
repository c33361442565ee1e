# The two commands: `make run` shows what Guardian does, `make test` checks it. Both install what they need.
.PHONY: run test lint bench screenshots clean setup tools

run: setup
	.venv/bin/guardian demo

test: setup tools
	.venv/bin/python -m pytest -q

setup:
	@sh scripts/setup.sh

tools:
	@sh scripts/install-test-tools.sh

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

bench: setup
	sh bench/run.sh

screenshots: setup tools
	.venv/bin/python scripts/screenshots.py

clean:
	rm -rf .venv .venv-bench demo build dist .pytest_cache .ruff_cache .hypothesis
