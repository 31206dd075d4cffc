# Needs Python >= 3.11 with pip and venv; everything else is installed into .venv.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help report explore example-distributed test campaigns lint docs chromium clean

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

BIN := .venv/bin
FOUND := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
OLD := 2.% 3.0 3.1 3.2 3.3 3.4 3.5 3.6 3.7 3.8 3.9 3.10
SUPPORTED := $(filter-out $(OLD),$(FOUND))
# Another interpreter is another stamp, and so a new environment.
CREATED := .venv/.created-$(FOUND)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP := $(BIN)/python -m pip install -qq --constraint constraints.txt

help: ## show this list
	@echo "make TARGET [PYTHON=python3.12]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-19s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

report: .venv/.installed-base ## train on the embedded digits and write report.html here
	$(BIN)/pullback report

explore: .venv/.installed-base ## open a page on which you build a network and watch it learn
	$(BIN)/pullback explore

example-distributed: .venv/.installed-jax ## train on the digits with two processes of jax
	@port=$$($(BIN)/python -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'); \
	train="env JAX_PLATFORMS=cpu $(BIN)/python examples/digits.py --coordinator 127.0.0.1:$$port --processes 2"; \
	$$train --process 1 & $$train --process 0 && wait $$!

test: .venv/.installed-test ## run the tests and doctests (WORKERS=0: one process; ARGS="-k rooms")
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 \
		$(BIN)/pytest -q -n $(WORKERS) --dist worksteal $(ARGS)

campaigns: .venv/.installed-test ## the long seeded campaigns: hostile files, kills, random networks
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 \
		$(BIN)/pytest -q -rP -n $(WORKERS) --dist worksteal tests/campaigns --campaign=long $(ARGS)

lint: .venv/.installed-lint ## ruff's rules and format, mypy's types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict pullback

# --quiet would hide the warnings that --strict counts.
docs: .venv/.installed-docs ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "site/index.html is built; its search needs a server: $(BIN)/python -m http.server -d site"

chromium: ## install the browser of the browser tests, where it is missing (Debian's packages)
	@if [ -n "$$CHROMIUM" ] || command -v chromium >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif ! command -v apt-get >/dev/null; then \
		echo "There is no Chromium and no apt-get: install Chromium, or name it with CHROMIUM=/path" >&2; \
		exit 1; \
	else \
		echo "Installing Chromium" && apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-liberation; \
	fi

clean: ## remove the environment, caches, builds and the report
	rm -rf .venv build dist site *.egg-info report.html
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps are touched last, so a step that was interrupted runs again.
$(CREATED):
	$(if $(SUPPORTED),,$(error pullback needs Python 3.11 or newer, and PYTHON=$(PYTHON) is $(or $(FOUND),not a Python that runs); name another: make $(MAKECMDGOALS) PYTHON=python3.12))
	@echo "Creating .venv with Python $(FOUND)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed-base: $(CREATED) pyproject.toml constraints.txt
	@echo "Installing pullback into .venv"
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable .
	@touch $@

# An extra brings the base along; its stamp is touched too.
.venv/.installed-%: $(CREATED) pyproject.toml constraints.txt
	@echo "Installing pullback[$*] into .venv (a few minutes the first time)"
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable '.[$*]'
	@touch .venv/.installed-base $@
