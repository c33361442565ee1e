# The two commands: `make run` shows what Guardian does, `make test` checks it. Both install what they need.
.PHONY: run test test-matrix lint bench catalogues screenshots clean setup tools

run: setup
	.venv/bin/guardian demo

test: setup tools
	.venv/bin/python -m pytest -q

# The tracker's tests with the oldest and the newest libraries, on the oldest and the newest Python that is here.
test-matrix:
	$(or $(PYTHON),python3) scripts/test_matrix.py

setup:
	@sh scripts/setup.sh

tools:
	@sh scripts/install-test-tools.sh

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

# The peers that are measured beside Guardian live in an environment of their own.
bench: setup
	test -x .venv-bench/bin/python || $(or $(PYTHON),python3) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r bench/requirements.lock
	.venv-bench/bin/python bench/middleware.py
	.venv/bin/python bench/report.py

catalogues: setup
	.venv/bin/python scripts/catalogues.py

screenshots: setup tools
	.venv/bin/python scripts/screenshots.py

clean:
	rm -rf .venv .venv-bench .venv-matrix demo build dist .pytest_cache .ruff_cache .hypothesis
