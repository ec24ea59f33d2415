# Everything happens in a private environment, .venv, made from nothing but Python 3.11 or newer.

PYTHON ?= python3
BIN := .venv/bin
FIRST_NOTEBOOK := notebooks/00_start.ipynb
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

define CHECK_PYTHON
import sys
if sys.version_info < (3, 11):
    sys.exit("labdaq needs Python 3.11 or newer; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2])
try:
    import ensurepip, venv
except ImportError:
    sys.exit("$(PYTHON) cannot make environments: install its venv package (Debian, Ubuntu: apt-get install python3-venv)")
endef
export CHECK_PYTHON

.PHONY: help lab test demo bench promises lint docs audit lowest pictures warm clean
.DEFAULT_GOAL := help

help: ## what there is
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

lab: .venv/notebook.stamp ## open JupyterLab on the first notebook
	$(BIN)/python -m jupyterlab $(AS_ROOT) $(FIRST_NOTEBOOK)

test: .venv/test.stamp ## run all checks and tests
	$(BIN)/python tests/check.py $(ARGS)

demo: .venv/notebook.stamp ## measure the muon lifetime, simulated or from recordings (DATA=folder)
	$(BIN)/labdaq demo muon $(if $(DATA),--data "$(DATA)") --out out/muon

bench: .venv/test.stamp ## measure labdaq against its limits and its peers, and write docs/performance.md
	mkdir -p out && rm -f out/benchmarks.jsonl
	LABDAQ_BENCHMARKS=out/benchmarks.jsonl $(BIN)/python -m pytest -m benchmark -s tests/benchmarks $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m tests.benchmarks.page out/benchmarks.jsonl)

promises: .venv/test.stamp ## put all promises to the test for long (TIMES=10: a night), and write docs/promises.md
	$(BIN)/python -m pytest --promises --times $(or $(TIMES),1) -m "promise or long" --timeout 3600 $(ARGS) tests

lint: .venv/test.stamp ## rules, format, types, layers and weaknesses only
	$(BIN)/python tests/check.py --lint

docs: .venv/test.stamp ## build the documentation into docs/_build; LINKS=1 also tries all links to other places
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build
	$(if $(LINKS),$(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/links)

audit: .venv/test.stamp ## look for weaknesses in labdaq, and for known ones in the packages that it needs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python tests/audit.py

lowest: ## run the quick tests with the lowest versions of all packages that labdaq says it runs with
	$(PYTHON) tests/lowest.py .venv-lowest $(ARGS)

pictures: .venv/test.stamp ## take the pictures of README and documentation anew, in a browser
	$(BIN)/python -m tests.browser.pictures
	$(BIN)/python -m tests.notebooks.pictures

warm: .venv/notebook.stamp ## compile everything now, so that nothing has to later
	$(BIN)/labdaq warm

clean: ## remove the environment and all caches; results in out/ stay
	rm -rf .venv .venv-lowest build dist docs/_build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find labdaq tests notebooks -name __pycache__ -prune -exec rm -rf {} +

# A stamp is made when its step is complete, so that the next call can leave it out.
.venv/python.stamp:
	@command -v $(PYTHON) >/dev/null || { echo "There is no '$(PYTHON)': install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON"
	$(PYTHON) -m venv .venv
	@touch $@

.venv/%.stamp: .venv/python.stamp pyproject.toml
	@echo "setting up .venv for $* (a minute or two)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
