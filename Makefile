# The project's commands; `make` without a target lists them. They need Python 3.11 to 3.14 and, to build FFCV, a C++
# compiler, OpenCV and libturbojpeg; `make setup` checks for them. PYTHON=... chooses the Python.
RUN := .venv/bin/python
# CIFAR is not in the repository: without its Parquet files, the tests that read them are skipped; a line reports it.
CIFAR := $(or $(LTRAY_SHARED_DATA),../shared/data)
LEFT_OUT := $(if $(CI)$(wildcard $(CIFAR)/cifar100-train.parquet),, and not data)
DEFAULT_TESTS := not slow and not gpu$(LEFT_OUT)
# One process per core. The tests of one file run in one process, because they share fixtures that are slow to create.
IN_PARALLEL := -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup lint test test-failed test-all demo bench format constraints advisories clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install everything into .venv; takes seconds if it is already installed
	@python=$$(sh tools/find_python.sh) && "$$python" tools/setup_environment.py

lint: setup ## ruff (rules and layout) and mypy (types); `make format` corrects the layout
	@$(RUN) -m ruff check -q
	@$(RUN) -m ruff format -q --check
	@$(RUN) -m mypy
	@$(RUN) -m mypy --strict --scripts-are-modules tools cluster

test: setup ## run the default tests: without slow tests and tests that need a GPU
	@$(RUN) -m pytest -q $(IN_PARALLEL) -m "$(DEFAULT_TESTS)"
	@$(if $(LEFT_OUT),echo "Left out: the tests that read CIFAR. No Parquet files in $(CIFAR); set LTRAY_SHARED_DATA.")

test-failed: ## run the default tests that failed last time, one after another, and name those that pass
	@$(RUN) -m pytest --last-failed --last-failed-no-failures none -rA --show-capture no -m "$(DEFAULT_TESTS)"

test-all: setup ## run every test that this machine can run; takes many minutes
	@$(RUN) -m pytest -q

demo: setup ## run a small real search; prints its table and where its files are
	@$(RUN) -m ltray.tune search_spaces/quickstart.yaml

bench: setup ## compare one epoch of BCL with a plain DataLoader; see benchmarks/README.md
	@$(RUN) -m benchmarks.bcl_epoch

format: setup ## correct the order of imports and the layout with ruff
	@$(RUN) -m ruff check -q --fix && $(RUN) -m ruff format -q

constraints: setup ## solve requirements/constraints.txt again after a change of pyproject.toml
	@.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --all-extras pyproject.toml -o requirements/constraints.txt

advisories: setup ## list known security advisories of the pinned packages; needs the internet
	@$(RUN) tools/advisories.py

clean: ## remove caches and build files; keeps .venv and runs
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
