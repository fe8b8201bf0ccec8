# Everything here runs in the environment .venv, which is made from requirements.lock when it is first needed
# and kept until requirements.lock or pyproject.toml changes. `make` alone says what there is.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
REFERENCE := .venv/.reference
CLUSTER_TESTS := .venv/.cluster-tests
PEERS := .bench/venv
PEERS_READY := $(PEERS)/.ready

.DEFAULT_GOAL := help
.PHONY: help env demo serve test test-compose lint bench quality lock clean

help:
	@echo "Gradsum trains feed-forward neural networks on a cluster. What make can do:"
	@echo ""
	@echo "  make demo    a network trained by the real service, from data to prediction; leaves nothing running"
	@echo "  make serve   the service in the foreground: API and docs on :8000, MLflow on :5000; Ctrl-C stops it"
	@echo "  make test    all tests (PYTEST_ADDOPTS=... for options, for example '-k settings'); installs PyTorch to compare with"
	@echo "  make test-compose  the real cluster by docker compose, from a clean copy: builds, trains, restarts, breaks in; about"
	@echo "               10 minutes; needs a Docker engine and Chromium"
	@echo "  make lint    ruff, mypy and the import contracts"
	@echo "  make bench   time per epoch beside PyTorch, scikit-learn and the matrix products alone: about 10 minutes,"
	@echo "               and some to install the peers, once (BENCH='--cases A,C --rounds 3' for less); .bench/results.json"
	@echo "  make quality scores of the smallest request beside scikit-learn's, over ten splits: about a minute"
	@echo "               (QUALITY='--cases iris --splits 3' for less, '--write' puts the table into docs/MODELS.md)"
	@echo "  make env     only the environment, .venv, which all of these make when they need it"
	@echo "  make lock    requirements.lock anew, from what pyproject.toml asks for"
	@echo "  make clean   removes .venv, .bench and caches; data in .gradsum stays"
	@echo ""
	@echo "It needs Python 3.11 or newer with pip; PYTHON=... names another than python3."

env: $(READY)
	@:

# The stamp is the last thing that is made: an installation that failed is done again.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Gradsum needs Python 3.11 or newer; '$(PYTHON)' is not. Name one: make PYTHON=/path/to/python3.11 env" >&2; \
	  exit 1; }
	@echo "Making the environment .venv from requirements.lock: one to three minutes, the first time only."
	@rm -f $@
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --no-deps -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --editable .
	@$(BIN)/python -m compileall -q -j 0 -x '/tests?/' .venv/lib >/dev/null 2>&1 || true
	@touch $@
	@echo "The environment is ready."

# PyTorch, which tests compare with, at the version that pyproject.toml names; nothing that is locked moves.
$(REFERENCE): $(READY)
	@echo "Installing PyTorch, which tests compare results with: once, a minute or more."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint requirements.lock --editable '.[reference]'
	@touch $@

$(CLUSTER_TESTS): $(READY)
	@echo "Installing what tests of the cluster need: once, half a minute."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint requirements.lock --editable '.[cluster-tests]'
	@touch $@

demo: $(READY)
	@exec $(BIN)/python -m service.demo

serve: $(READY)
	@exec $(BIN)/gradsum serve

# Most tests wait more than they compute, so three processes are right for two processors. In the order of the folders:
# the long tests of tests/acceptance begin first.
test: $(REFERENCE)
	@exec $(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder

# One process: the tests share one cluster, and their order matters to it.
test-compose: $(CLUSTER_TESTS)
	@docker info >/dev/null 2>&1 || { \
	  echo "No Docker engine answers. Start one (on Debian, as root: .ci/docker-engine), then again: make test-compose" >&2; \
	  exit 1; }
	@exec $(BIN)/python -m pytest -n 0 tests/compose

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) $(PEERS_READY)
	@exec $(BIN)/python -m tests.benchmarks $(BENCH)

# One thread, as a worker has.
quality: $(READY)
	@OPENBLAS_NUM_THREADS=1 exec $(BIN)/python -m tests.quality $(QUALITY)

# The peers have an environment of their own, so that they change nothing of ours; numpy is the same in both.
$(PEERS_READY): requirements.lock tests/benchmarks/peers.txt
	@echo "Installing the peers, PyTorch and scikit-learn, into $(PEERS): one to five minutes, the first time only."
	@rm -f $@
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install -qq --disable-pip-version-check -c requirements.lock -r tests/benchmarks/peers.txt
	@touch $@

# uv is used here only: it does not read the configuration of pip, which says where packages come from on some machines.
lock: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --group dev --extra cluster pyproject.toml \
	  --no-emit-index-url --no-header --quiet --output-file requirements.lock
	@echo "requirements.lock is new: make env, make test."

clean:
	rm -rf .venv .bench build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
