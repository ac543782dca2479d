# Everything sets itself up: Python 3.11 or later, git and make are enough. `make` alone says what there is.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
PYTHON ?=
export PYTHON
# Python keeps what it has compiled, whatever this environment says: the suite starts hundreds of processes, and half of each one's start is that.
unexport PYTHONDONTWRITEBYTECODE

RUN := .venv/bin/python -m

.PHONY: help
help: ## What can be made
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.synced ## Start everything on this machine, import real purchases, show the profiles, stop (2 minutes)
	@$(RUN) deployments.demo

.PHONY: test
test: .venv/.synced kafka ## Every test, on real servers (15 minutes)
	@$(RUN) tests.parts $(PYTEST)

.PHONY: faults
faults: .venv/.synced kafka ## Fault schedules on real processes: SCHEDULES=50 SEED=…
	@$(RUN) tests.faults --schedules $(or $(SCHEDULES),50) $(if $(SEED),--seed $(SEED))

.PHONY: faults-check
faults-check: .venv/.synced kafka ## Are broken variants of the product caught? All, or VARIANT=no-fence (half an hour)
	@$(RUN) tests.faults.broken_check $(VARIANT)

.PHONY: quick
quick: .venv/.synced ## The tests that start no server (a minute)
	@$(RUN) pytest tests/fundamentals tests/unit $(PYTEST)

.PHONY: bench
bench: .venv/.synced ## Imports of a million rows, exports, segments, uploads, against Redis alone and plain scripts (half an hour; BENCH="200000 --only one" PROFILES=100000)
	@$(RUN) benchmarks $(BENCH)
	@$(RUN) benchmarks.export $(PROFILES)
	@$(RUN) benchmarks.segments $(PROFILES)
	@$(RUN) benchmarks.uploads $(PROFILES)

.PHONY: up
up: .venv/.synced ## All servers and workers of one machine in the foreground; Ctrl-C stops them
	@.venv/bin/headrace up

.PHONY: check
check: lint types ## Rules, format and strict types: what is green before anything is tested

.PHONY: lint
lint: .venv/.synced ## ruff: rules and format, nothing is changed
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .

.PHONY: format
format: .venv/.synced ## ruff: format, and put right what can be put right
	@$(RUN) ruff check --fix-only .
	@$(RUN) ruff format .

.PHONY: types
types: .venv/.synced ## mypy --strict over the product and its tests
	@$(RUN) mypy --strict

.PHONY: docs
docs: .venv/.synced ## Write the reference pages of docs/ again from the code
	@$(RUN) docs.reference

.PHONY: kafka
kafka: .venv/.synced ## Fetch the jars of the real Kafka that the tests use (needs java and mvn; tests do it too)
	@.venv/bin/python -c 'from tests.servers.kafka import fetch_jars; print(fetch_jars() or "The jars of Kafka are in deployments/kafka/lib.")' || true

.PHONY: setup
setup: .venv/.synced ## Only install: .venv as uv.lock says

.PHONY: env
env: .env ## Fresh passwords for docker compose, in .env

.env:
	@sh deployments/compose_env.sh > .env.new && mv .env.new .env && chmod 600 .env && echo "Wrote .env with fresh passwords; git ignores it."

.venv/.synced: uv.lock pyproject.toml deployments/uv.txt deployments/setup.sh
	@sh deployments/setup.sh
