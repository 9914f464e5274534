# The project's commands; `make` alone lists them. They need Python 3.11 to 3.14 and, to build FFCV, a C++ compiler,
# OpenCV and libturbojpeg, which `make setup` looks for. PYTHON=... chooses the Python.
RUN := .venv/bin/python
# CIFAR is not in the repository: without its Parquet files the tests that read them are left out, with a line.
CIFAR := $(or $(LTRAY_SHARED_DATA),../shared/data)
LEFT_OUT := $(if $(CI)$(wildcard $(CIFAR)/cifar100-train.parquet),, and not data)
DEFAULT_TESTS := not slow and not gpu$(LEFT_OUT)
# A process a core; a file's tests stay in one process, since they share what is dear to start.
IN_PARALLEL := -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup lint test test-all demo bench format constraints clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install everything into .venv; seconds when that is done already
	@python=$$(sh tools/find_python.sh) && "$$python" tools/setup_environment.py

lint: setup ## ruff (rules and layout) and mypy (types); `make format` corrects the layout
	@$(RUN) -m ruff check -q
	@$(RUN) -m ruff format -q --check
	@$(RUN) -m mypy
	@$(RUN) -m mypy --strict --scripts-are-modules tools cluster

test: setup ## the default tests: no slow ones, none that need a GPU
	@$(RUN) -m pytest -q $(IN_PARALLEL) -m "$(DEFAULT_TESTS)"
	@$(if $(LEFT_OUT),echo "Left out: the tests that read CIFAR. No Parquet files in $(CIFAR); set LTRAY_SHARED_DATA.")

test-all: setup ## every test this machine can run: many minutes
	@$(RUN) -m pytest -q

demo: setup ## a small real search; prints its table and where to look
	@$(RUN) -m ltray.tune search_spaces/quickstart.yaml

bench: setup ## one epoch of BCL beside a plain DataLoader; more in benchmarks/README.md
	@$(RUN) -m benchmarks.bcl_epoch

format: setup ## let ruff correct the order of imports and the layout
	@$(RUN) -m ruff check -q --fix && $(RUN) -m ruff format -q

constraints: setup ## solve requirements/constraints.txt again after a change of pyproject.toml
	@.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --all-extras pyproject.toml -o requirements/constraints.txt

clean: ## remove caches and build left-overs; .venv and runs stay
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
