# The habits of this project. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow test-openstack test-swarm test-all openstack-up openstack-down swarm-up swarm-down lint format generate lock bench bench-peers clean

BIN := .venv/bin
JOBS ?= 2
ARGS ?=

help:  ## Print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r a b; do printf '  make %-14s %s\n' "$$a" "$$b"; done

setup:  ## Make .venv with everything, exactly as locked (does nothing where that is done)
	@tools/setup

run: setup  ## Start anneal here, in the foreground, with the examples as its folder
	$(BIN)/anneal up examples/quickstart

test: setup  ## Everything that takes seconds: unit, contract, API, command line, kubectl, serving (under ten minutes)
	@tools/test-tools
	@tools/note-missing
	$(BIN)/pytest -m "not slow and not openstack and not swarm" -n $(JOBS) --dist loadfile -q $(ARGS)

test-slow: setup  ## Everything that takes minutes: the crash sweep, Ray, end to end
	@tools/test-tools
	$(BIN)/pytest -m "slow and not openstack and not swarm" -n $(JOBS) --dist loadfile -q $(ARGS)

test-openstack: setup openstack-up  ## The OpenStack drivers and Machines against the real services (ARGS="-m openstack": a crash at every point, too)
	$(BIN)/pytest tests/openstack -m "openstack and not slow" -q $(ARGS)

openstack-up:  ## Bring up Keystone, Nova, Neutron, Glance, Placement and Cinder on this machine (CLOUD=--reset: a pristine one)
	@tests/openstack/cloud/up $(CLOUD)

openstack-down:  ## Stop them (CLOUD=--purge: forget their data, CLOUD=--purge-all: the software too)
	@tests/openstack/cloud/down $(CLOUD)

test-swarm: setup  ## Real Docker Swarms of three nodes on this machine: clusters, images, rollouts (needs root; ARGS="-m swarm": the slow ones, too)
	$(BIN)/pytest tests/swarm -m "swarm and not slow" -n $(JOBS) --dist loadfile -q $(ARGS)

swarm-up: setup  ## The same Swarm, to play with (NODES, MANAGERS); ANNEAL_SWARM=NUMBER for another one
	@tests/swarm/cloud/up $(or $(NODES),3) $(or $(MANAGERS),3)

swarm-down:  ## Take it away again; the images stay cached under /var/cache/anneal-swarm
	@tests/swarm/cloud/down

test-all: test test-slow test-openstack test-swarm  ## All of them

lint: setup  ## ruff, mypy --strict, the import layers, and that generated files are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m specs.crd --check
	$(BIN)/python -m specs.reference --check

format: setup  ## Let ruff put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: setup  ## Write specs/crds/ and docs/reference/ anew from the models
	$(BIN)/python -m specs.crd
	$(BIN)/python -m specs.reference

lock:  ## Write requirements.lock anew from pyproject.toml (ARGS=--upgrade for newer versions)
	@tools/lock $(ARGS)

bench: setup  ## Measure; each figure beside a baseline from the same run. Leave the machine alone meanwhile
	$(BIN)/python -m bench $(ARGS)

bench-peers: setup  ## Measure MLflow, BentoML and Ray Serve beside ours, each in an environment of its own under build/
	$(BIN)/python -m bench.peers $(ARGS)

clean:  ## Remove what the tools leave behind, and .venv
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
