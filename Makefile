# `make demo` and `make test` set up everything they need in a virtual environment of this checkout, from nothing
# but a Python of 3.10 to 3.13 and a package index; repeated, they go straight to work.
#
#   VENV=DIR        the environment (default .venv)
#   PYTHON=PROGRAM  the Python to make it with (default: the newest suitable one)
#   TORCH=...       where torch comes from; the environment remembers the choice:
#                     locked        the version in requirements.lock (default)
#                     system        the one PYTHON already has, whatever its build
#                     REQUIREMENT   any other, for instance TORCH="torch==2.13.0"
#   PYTEST="..."    further arguments of pytest

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint types imports pytest lock clean distclean FORCE

VENV ?= .venv
PYTEST ?=
JOBS ?= 2
ifeq ($(strip $(TORCH)),)
  override TORCH := $(or $(shell cat $(VENV)/.torch 2>/dev/null),locked)
endif
export TORCH

# uv where there is one that knows dependency groups, else pip.
UV := $(shell uv pip install --help 2>/dev/null | grep -e --group >/dev/null && echo uv)
BIN := $(VENV)/bin
INSTALL = $(if $(UV),uv pip install --quiet --compile-bytecode --python $(BIN)/python,$(BIN)/python -m pip install -qq --no-warn-conflicts)

SUITABLE = import sys, importlib.util as u; \
  modules = [$(if $(UV),,"venv"$(comma) "ensurepip"$(comma)) $(if $(filter system,$(TORCH)),"torch")]; \
  sys.exit(not ((3, 10) <= sys.version_info[:2] <= (3, 13) and all(map(u.find_spec, modules))))
comma := ,
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.10 python3 python; do \
  $$p -c '$(SUITABLE)' >/dev/null 2>&1 && echo $$p && break; done)

# What requirements.lock says of torch, its companions and the CUDA libraries, which TORCH can overrule.
TORCH_LINES := ^(torch|torchvision|torchaudio|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==
TORCH_INSTALLED := from importlib.metadata import distributions; \
  found = {(d.metadata["Name"] or "").lower(): d.version for d in reversed(list(distributions()))}; \
  [print(f"{name}=={found[name]}") for name in ("torch", "torchvision", "torchaudio") if name in found]; \
  "torch" in found or exit("no torch after setting up with this TORCH")

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@sed -n 's/^#   /  /p' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.core ## set up, then score made-up systems on made-up clips and write a report
	@$(BIN)/vidchatbench demo

test: lint types imports pytest ## set up, then run every check in order: style, types, walls, tests

lint: $(VENV)/.dev ## ruff: style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy (strict) and basedpyright (standard)
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python

imports: $(VENV)/.dev ## import-linter: the walls between the packages
	$(BIN)/lint-imports

pytest: $(VENV)/.dev ## the tests alone
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(PYTEST)

lock: ## resolve requirements.lock anew (needs uv; LOCK="--upgrade" for newer versions)
	uv pip compile --universal --python-version 3.10 --group dev --no-annotate --no-emit-index-url \
	  --custom-compile-command "make lock" --output-file requirements.lock --quiet $(LOCK) pyproject.toml

clean: ## remove what builds, checks and runs left behind
	rm -rf build dist run demo_run .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find vidchatbench metrics tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## the same, and the virtual environment
	@[ ! -e $(VENV) ] || [ -e $(VENV)/pyvenv.cfg ] || { echo "$(VENV) is no virtual environment" >&2; exit 2; }
	rm -rf $(VENV)

# --- the environment: made once for a choice of TORCH, filled again when pyproject.toml or the lock changes ----------

$(VENV)/.torch: FORCE
	@if $(BIN)/python -c '' 2>/dev/null && [ "$$(cat $@ 2>/dev/null || echo "$$TORCH")" = "$$TORCH" ]; then \
	  [ -e $@ ] || echo "$$TORCH" > $@; \
	else \
	  [ ! -e $(VENV) ] || [ -e $(VENV)/pyvenv.cfg ] || { echo "$(VENV) is no virtual environment" >&2; exit 2; }; \
	  python="$(PYTHON)"; \
	  $${python:-false} -c '$(SUITABLE)' 2>/dev/null || { \
	    echo "Found no Python of 3.10 to 3.13$(if $(UV),, with venv)$(if $(filter system,$(TORCH)),$(comma) with torch);" \
	      "name one with PYTHON=" >&2; exit 2; }; \
	  echo "Making $(VENV) with $$python (TORCH=$$TORCH)"; \
	  rm -rf $(VENV); \
	  $(if $(UV),uv venv --quiet --python $$python,$$python -m venv) \
	    $(if $(filter system,$(TORCH)),--system-site-packages) $(VENV); \
	  echo "$$TORCH" > $@; \
	fi

$(VENV)/.core: $(VENV)/.torch pyproject.toml requirements.lock
	@echo "Installing the library and its dependencies; the first time this downloads gigabytes"
ifndef UV
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(INSTALL) --upgrade 'pip>=25.1'
endif
	@cp requirements.lock $(VENV)/constraints.txt
	@if [ "$$TORCH" != locked ]; then \
	  grep -vE '$(TORCH_LINES)' requirements.lock > $(VENV)/constraints.txt; \
	  [ "$$TORCH" = system ] || $(INSTALL) -c $(VENV)/constraints.txt $$TORCH; \
	  $(BIN)/python -c '$(TORCH_INSTALLED)' >> $(VENV)/constraints.txt; \
	fi
	@$(INSTALL) -c $(VENV)/constraints.txt -e .
	@# The speaker encoder's weights come as a file of this package; its own dependencies are not used.
	@$(INSTALL) --no-deps Resemblyzer==0.1.4
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "Installing the tools for development"
	@$(INSTALL) -c $(VENV)/constraints.txt --group dev
	@touch $@
