# One entry for each task. Everything sets itself up; `make` alone lists the tasks.
SHELL := /bin/bash
BIN := .venv/bin

.PHONY: help demo test test-long lint docs bench setup clean

help:  ## List the tasks.
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo:  ## Run the main job on two real datasets, in a temporary folder.
	@.ci/setup
	@$(BIN)/datakeep demo

test: setup lint  ## Set everything up, lint, and run all tests (15 minutes at most).
	$(BIN)/python -m pytest -m "not long" -n $(or $(JOBS),$(shell nproc)) --dist loadfile

test-long: setup  ## The full counts of kills, faults and random trees.
	$(BIN)/python -m pytest -m long -n $(or $(JOBS),$(shell nproc)) --dist loadfile

lint: setup  ## Layers, style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: setup  ## Generate the pages and schemas that come from the code.
	$(BIN)/python docs/generate.py

bench: setup  ## Speed and memory, side by side with the peers.
	$(BIN)/python benchmarks/run.py --write docs/benchmarks.md

setup:
	@.ci/setup dev

clean:  ## Remove what the other tasks made.
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .import_linter_cache .hypothesis
