# `make` lists the targets. A fresh machine needs Python 3.11+ and make, nothing else, for `make demo`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PYTEST_ARGS ?= --numprocesses=auto --dist=loadfile --no-loadscope-reorder
LOCK_OPTIONS := --universal --generate-hashes --no-emit-index-url --no-header --quiet --python-version 3.11 \
	--no-emit-package jobfleet-client

# Where the environment forbids to keep compiled modules, as in many images, each process of a test
# compiles all it imports: 1.5 s of CPU time instead of 0.6.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-full check compiled format dist lock venv services-up services-down \
	bench bench-dashboard coverage simulate chaos prove-azure test-pythons test-compose stand-in-images soak screenshots docs evidence clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## the whole fleet on this machine, no server needed; ARGS="--jobs 20 --port 8001"
	@exec $(BIN)/python devtools/foreground.py $(BIN)/jobfleet demo $(ARGS)

test: $(VENV)/.development ## every test but the long chaos and simulation runs
	$(BIN)/python -m devtools.prerequisites
	$(BIN)/python -m pytest -m "not chaos and not simulation_long and not full" $(PYTEST_ARGS) $(ARGS)

test-full: $(VENV)/.development ## also every page at further widths of the screen
	$(BIN)/python -m devtools.prerequisites
	$(BIN)/python -m pytest -m "not chaos and not simulation_long" $(PYTEST_ARGS) $(ARGS)

check: $(VENV)/.development ## format, lint, types, floors, Compose file, Kubernetes manifests, locks; asks no network
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m devtools.compose_check
	$(BIN)/python -m pytest --quiet tests/deploy/test_kubernetes.py
	$(BIN)/python -m devtools.lock_check

compiled: $(VENV)/.development ## tests and what they import, once instead of in each process
	$(BIN)/python -m pytest --collect-only --quiet > /dev/null

format: $(VENV)/.development ## puts the code in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dist: $(VENV)/.development ## wheels and source distributions for an index, in dist
	rm -rf dist
	RELEASE_JOBFLEET=1 $(BIN)/python -m hatchling build -d dist
	cd client && RELEASE_JOBFLEET=1 ../$(BIN)/python -m hatchling build -d ../dist
	$(BIN)/python -m twine check --strict dist/*

lock: $(VENV)/.development ## all locks anew from the two pyproject.toml
	$(BIN)/uv pip compile $(LOCK_OPTIONS) pyproject.toml --extra postgres -o requirements.lock
	$(BIN)/uv pip compile $(LOCK_OPTIONS) client/pyproject.toml --extra azure --extra rabbitmq \
		--extra postgres --extra console -c requirements.lock -o requirements-client.lock
	$(BIN)/uv pip compile $(LOCK_OPTIONS) pyproject.toml --group dev --all-extras \
		-c requirements.lock -o requirements-dev.lock
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --group pyproject.toml:build \
		-c requirements-dev.lock -o requirements-build.lock

venv: $(VENV)/.development ## everything for development, in .venv

services-up: $(VENV)/.development ## RabbitMQ, Azurite and PostgreSQL; prints what to export
	@$(BIN)/python -m devtools.servers up

services-down: $(VENV)/.development ## stops what services-up started
	@$(BIN)/python -m devtools.servers down

bench: $(VENV)/.development ## throughput and latency, against other job queues
	$(BIN)/python -m devtools.prerequisites
	$(BIN)/python -m devtools.bench $(ARGS)

bench-dashboard: $(VENV)/.development ## how fast the pages and the API answer
	$(BIN)/python -m devtools.bench_dashboard $(ARGS)

test-rabbitmq4: $(VENV)/.development ## what speaks to the broker, with RabbitMQ 4 from Debian 13; needs root and debootstrap
	JOBFLEET_TEST_RABBITMQ_FOLDER=$$($(BIN)/python -m devtools.rabbitmq4) \
		$(BIN)/python -m pytest -m "not chaos" -k "rabbitmq or azure" tests/backends/rabbitmq \
		tests/conformance tests/system/test_traps_broker.py $(PYTEST_ARGS) $(ARGS)

test-postgres-versions: $(VENV)/.development ## what speaks to PostgreSQL, with 13, 14, 16, 17 and 18 from npm
	for version in 13 14 16 17 18; do \
		JOBFLEET_TEST_POSTGRES_FOLDER=$$($(BIN)/python -m devtools.postgres_versions $$version) \
			$(BIN)/python -m pytest -m "not chaos" -k postgres tests/backends/postgres tests/conformance \
			tests/system/test_moving.py $(PYTEST_ARGS) $(ARGS) || exit 1; \
	done

# Measuring makes each line slower: what bounds the time that the loop is held is left out.
coverage: $(VENV)/.development ## branch coverage of protocol and worker, least covered first; protocol needs 95 %
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest tests/protocol tests/worker tests/dashboard tests/publisher \
		tests/system/test_moving.py tests/simulation/test_even_seeds.py --ignore=tests/dashboard/api/test_hostile_bodies.py \
		-m "not servers and not chaos and not full" --quiet $(PYTEST_ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --sort=cover --include="shared/protocol/*,services/worker/*"
	$(BIN)/python -m coverage report --format=total --include="shared/protocol/*" --fail-under=95

simulate: $(VENV)/.development ## 100,000 simulated runs of the protocol; docs/simulation.md
	$(BIN)/python -m pytest tests/simulation -m "simulation_long or not simulation_long" --timeout=0 \
		--numprocesses=auto --dist=worksteal $(ARGS)

chaos: $(VENV)/.development ## faults against real servers and processes; fleet, pages and examples on PostgreSQL
	$(BIN)/python -m devtools.prerequisites
	$(BIN)/python -m pytest tests/chaos tests/system tests/publisher tests/examples tests/browser \
		-m chaos --timeout=0 $(ARGS)

prove-azure: $(VENV)/.development ## on your storage account and broker, named in the environment; the bill first
	$(BIN)/python -m devtools.prove_azure $(ARGS)

test-pythons: $(VENV)/.development ## what needs no server, with each Python, and with the newest packages; PYTHONS=3.11,3.12
	$(BIN)/python -m nox $(ARGS)

test-compose: $(VENV)/.development ## docker-compose.yml built and run; fails where no Docker engine answers
	$(BIN)/python -m pytest tests/containers -m chaos --timeout=0 $(ARGS)

stand-in-images: $(VENV)/.development ## base images from Debian and npm, where no image registry is reached; needs root
	$(BIN)/python -m devtools.stand_in_images

soak: $(VENV)/.development ## an hour of steady work; memory, file handles and data must stay flat
	$(BIN)/python -m pytest tests/soak -m chaos --timeout=0 $(ARGS)

screenshots: $(VENV)/.development ## pictures of every page
	$(BIN)/python -m devtools.prerequisites
	$(BIN)/python -m devtools.screenshots $(ARGS)

docs: $(VENV)/.development ## the documentation as a site, in build/docs; a broken link fails
	$(BIN)/python -m devtools.docs_site

evidence: $(VENV)/.development ## docs/evidence.md from the results of recorded runs
	$(BIN)/python -m devtools.evidence render

clean: ## everything that was built; stops the servers first
	@if [ -x $(BIN)/python ] && [ -d .servers ]; then $(BIN)/python -m devtools.servers down; fi
	rm -rf $(VENV) node_modules .servers build dist .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache htmlcov .coverage*

# What is installed is noted in stamps, so that a second run starts at once. The development stamp
# includes the runtime: its lock holds the same versions.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jobfleet needs Python 3.11 or later; set PYTHON=...")'
	@echo "Making $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml client/pyproject.toml | $(BIN)/python
	@if [ -e $(VENV)/.development ]; then \
		$(MAKE) --silent $(VENV)/.development >&2; \
	else \
		sh devtools/install.sh $(VENV) requirements.lock; \
	fi
	@touch $@

$(VENV)/.development: requirements.lock requirements-dev.lock pyproject.toml client/pyproject.toml | $(BIN)/python
	@sh devtools/install.sh $(VENV) requirements-dev.lock
	@touch $@
