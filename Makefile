# Everything runs from a bare clone with python3 (3.11 or later) and make; `make help` lists it.

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?= -qq
# Compilation takes most of the tests' time and one core: a worker for each of two.
WORKERS ?= 2
PYTEST_FLAGS ?=
BENCH_FLAGS ?=

# Python 3.12 resolves to another JAX than 3.11: tests run on both if both are here.
SECOND ?= $(shell \
  $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && \
  for p in python3.12 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.12.*/bin/python; do \
  $$p -c 'import ensurepip, venv' >/dev/null 2>&1 && echo $$p && break; done)
SECOND_TESTS := laws runs models training $(addprefix fitting/test_,fit.py saving.py solvers.py)

PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt

# The stamp names what was installed and where: it goes stale when a requirement changes or the
# checkout moves, and not when only a file's date does.
KEY := $(shell { echo "$(CURDIR)"; cat pyproject.toml constraints.txt; } | cksum | cut -d ' ' -f 1)
STAMP := $(VENV)/.installed-$(KEY)

# An environment whose interpreter does not start is stale whatever its stamp says.
ifneq ($(shell $(PY) -c '' >/dev/null 2>&1 || echo broken),)
.PHONY: $(STAMP)
endif

.DEFAULT_GOAL := help
.PHONY: help install demo lint test test-second test-all docs accelerators accelerators-aot \
  results bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP)  ## make .venv with jaxmix, its tests' and its benchmarks' tools (PYTHON=python3)

$(STAMP):
	@$(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  fail() { echo "PYTHON=$(PYTHON): $$*; name another: make install PYTHON=python3.11" >&2; exit 1; }; \
	  command -v $(PYTHON) >/dev/null || fail "there is no such command"; \
	  said=$$($(PYTHON) -c 'import sys; print(sys.version.split()[0])' 2>&1) || \
	    fail "does not start ($$(echo "$$said" | head -n 1))"; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    fail "is Python $$said, but jaxmix needs 3.11 or later"; \
	  $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing jaxmix and its tools into $(VENV) (a minute or two) ..." >&2
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation -e '.[dev,bench,images,hf,wandb,tensorboard]'
	@rm -f $(VENV)/.installed-*
	@touch $@

demo: install  ## the whole way on real data (QUICK=1: under three minutes; FAMILY=nmm or lvm)
	@$(VENV)/bin/jaxmix demo $(if $(QUICK),--quick,) $(if $(FAMILY),--family $(FAMILY),)

lint: install  ## style and types
	@$(PY) -m ruff check .
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PY) -m pyright --pythonpath $(PY)

test: lint  ## style, types, doctests and all but the slow tests
	@$(PY) -m pytest -q -n $(WORKERS) --dist loadfile -m "not slow" $(PYTEST_FLAGS)

ifneq ($(SECOND),)
	@$(MAKE) --no-print-directory test-second
endif

test-second:  ## quick tests of laws, runs, models and training on Python 3.12 (SECOND=its interpreter)
	@$(MAKE) --no-print-directory install VENV=$(VENV)-second PYTHON=$(SECOND)
	@$(VENV)-second/bin/python -m pytest -q -n $(WORKERS) --dist loadfile -m "not slow" \
	  $(SECOND_TESTS:%=tests/%) $(PYTEST_FLAGS)

test-all: lint  ## style, types, doctests and every test, compiled as users compile
	@JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(PY) -m pytest -q -n $(WORKERS) --dist loadfile $(PYTEST_FLAGS)

docs: install  ## the documentation, in site/: every example run, every link checked (minutes)
	@$(PIP) --no-build-isolation -e '.[docs]'
	@rm -rf build/docs && mkdir -p build/docs
	@cd build/docs && PATH="$(abspath $(VENV))/bin:$$PATH" COLUMNS=80 NO_MKDOCS_2_WARNING=1 \
	  $(abspath $(PY)) -m mkdocs build -f ../../mkdocs.yml
	@echo "written to site/; open site/index.html"

accelerators: install  ## lower every program for GPUs and TPUs, and count what FSDP moves
	@$(PY) -m pytest -q -n $(WORKERS) tests/test_accelerators.py

accelerators-aot: install  ## compile README's programs for TPUs and an H200, beside the last figures
	@$(PIP) '.[compile]'
	@$(PY) benchmarks/accelerators.py $(BENCH_FLAGS)

results: install  ## rebuild the table of all experiments from their result files
	@$(PY) -m experiments.summary

bench: install  ## the fitter beside its peers (minutes)
	@$(PY) benchmarks/bench_fit.py $(BENCH_FLAGS)

clean:  ## remove caches and build products (.venv stays)
	@rm -rf build dist site .pytest_cache .ruff_cache
	@find . -name '.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
