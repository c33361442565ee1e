# The two commands: `make run` shows what Guardian does, `make test` checks it. Both install what they need.
# `make help` prints what stands behind two hashes.
.PHONY: run test help test-matrix lint types bench catalogues screenshots release clean setup tools

run: setup ## Show what Guardian does: an app, its users, a report mail and its inbox (DEMO=--once: end after the mail)
	.venv/bin/guardian demo $(DEMO)

test: setup tools ## Run all tests (one file: .venv/bin/python -m pytest tests/unit/core/test_report.py)
	.venv/bin/python -m pytest -q -n auto --dist worksteal

help: ## List these
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

test-matrix: ## Run the tracker's tests with its oldest and newest libraries, on the oldest and newest Python that is here
	$(or $(PYTHON),python3) scripts/test_matrix.py

setup: ## Make .venv with everything that requirements.lock pins
	@sh scripts/setup.sh

tools: ## Install what the tests drive: Chromium, Postfix, Node (as root, on Debian)
	@sh scripts/install-test-tools.sh

lint: setup types ## Check style, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: setup ## Check the types of both packages with mypy
	.venv/bin/python -m mypy

# The peers that are measured beside Guardian live in an environment of their own.
bench: setup ## Measure the middleware beside its peers, and the report
	test -x .venv-bench/bin/python || $(or $(PYTHON),python3) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r bench/requirements.lock
	.venv-bench/bin/python bench/middleware.py
	.venv/bin/python bench/report.py

catalogues: setup ## Bring the translations in templates/locales/ up to date with the texts
	.venv/bin/python scripts/catalogues.py

screenshots: setup tools ## Take the pictures of the docs anew
	.venv/bin/python scripts/screenshots.py
	.venv/bin/python scripts/dashboard_pictures.py

release: setup ## Make a release ready (VERSION=0.2.0), or try the present one: see docs/releasing.md
	.venv/bin/python scripts/release.py $(VERSION)

clean: ## Remove what these have made
	rm -rf .venv .venv-bench .venv-matrix demo build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
