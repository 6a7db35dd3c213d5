# All targets use .venv, and create it if it is missing. `make` alone lists the targets.
#
#   PYTHON   the Python (3.11 or newer) for .venv                      make test PYTHON=python3.12
#   ARGS     more arguments for the command of a target                 make test ARGS='-k image'

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
EXE := $(if $(filter Windows_NT,$(OS)),.exe)
# Modules are not compiled on installation: Python compiles them on import, and most of torch is never imported.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
# One process for each core, with one thread: more threads would compete for the cores. Byte code is written even where
# PYTHONDONTWRITEBYTECODE is set: tests start many processes, and each would compile torch's 2,000 modules again.
TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
PARALLEL := --numprocesses logical --maxprocesses 8 --dist loadfile
LIGHT_TESTS := $(addprefix tests/,test_errors.py test_metadata.py test_readme.py test_sheet.py test_style_code.py \
	test_tables.py assets/test_assets.py inference/test_library.py inference/test_pixel_readers.py inference/test_tiling.py)
# Unexpected None values fail a test anyway; scipy and yaml have no types.
TEST_TYPES := --explicit-package-bases --follow-imports=silent --no-strict-optional --implicit-reexport \
	--allow-untyped-calls --disable-error-code=import-untyped --disable-error-code=var-annotated
# The stamps are inside the environment, so that deleting it deletes them.
LIGHT := $(VENV)/installed-light
FULL := $(VENV)/installed-full
SITE := $(VENV)/installed-docs

.DEFAULT_GOAL := help
.PHONY: help demo setup test test-light coverage check cards audit docs web dist bench train-flagship both-folders

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1#\2/p' Makefile | column -t -s '#' 2>/dev/null || grep '##' Makefile

demo: $(LIGHT) ## paint three sample photos in six styles, into out/demo
	$(BIN)/python examples/demo.py out/demo

setup: $(FULL) ## install everything for training, tests and benchmarks into .venv

test: $(FULL) ## run the tests; with CI=true also the slow ones
	$(TEST_ENV) $(BIN)/python -m pytest $(PARALLEL) $(if $(filter true,$(CI)),--durations=25,-m 'not slow') $(ARGS)

coverage: $(FULL) ## measure the share of lines that the tests run; fails below 90 %
	$(TEST_ENV) $(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term:skip-covered -m 'not slow' $(ARGS)

test-light: $(LIGHT) ## run the tests that need neither torch nor Unix, with the light install
	$(PIP_INSTALL) 'hypothesis>=6.120' 'pytest>=8.3'
	$(TEST_ENV) $(BIN)/python -m pytest -m 'not slow' $(LIGHT_TESTS) $(ARGS)

check: $(FULL) ## check lint, formatting, types, import layers and the ledger
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/mypy $(TEST_TYPES) tests
	$(BIN)/python -m pytest -q tests/test_layers.py
	$(BIN)/python tools/build_ledger.py --check
	$(BIN)/python tools/build_cards.py --check

cards: $(FULL) ## make the data card and the list of packages, into out/cards, and the table of the model card
	$(BIN)/python tools/build_cards.py

audit: $(FULL) ## look for known security faults of the installed packages; says so if there is no network
	$(BIN)/python tools/audit.py

docs: $(SITE) ## build the documentation site, into out/site; a dead link is an error
	$(BIN)/python tools/build_site.py

web: $(FULL) ## build the page that paints in the browser, into out/web; needs Node.js
	cd web && npm ci --ignore-scripts --no-audit --no-fund && npm run build

dist: $(FULL) cards ## build the wheel and the source archive, into out/dist, and the cards, into out/cards
	$(BIN)/python -m build --outdir out/dist

bench: $(FULL) ## measure speed and quality
	$(BIN)/python benchmarks/run.py $(ARGS)

train-flagship: both-folders $(FULL) ## train on your own folders: CONTENT=DIR STYLE=DIR [OUT=runs/flagship] [MANIFEST=CSV]
	$(BIN)/sfumato train --kind matching --recipe flagship --content "$(CONTENT)" --style "$(STYLE)" $(if $(MANIFEST),--manifest "$(MANIFEST)") --out "$(or $(OUT),runs/flagship)" $(ARGS)

both-folders:
	@test -n "$(CONTENT)" -a -n "$(STYLE)" || \
		{ echo "name both folders: make train-flagship CONTENT=photos STYLE=paintings" >&2; exit 2; }

$(BIN)/python$(EXE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Sfumato needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12, say" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# scikit-image without its dependencies: the demo only reads photos from it.
$(LIGHT): pyproject.toml constraints.txt | $(BIN)/python$(EXE)
	@echo "Installing the light package into $(VENV): about a minute ..."
	$(PIP_INSTALL) --editable .
	$(PIP_INSTALL) --no-deps 'scikit-image>=0.25'
	@touch $@

$(FULL): pyproject.toml constraints.txt requirements-nodeps.txt | $(BIN)/python$(EXE)
	@echo "Installing every extra into $(VENV): a few minutes ..."
	$(PIP_INSTALL) --editable '.[dev]'
	$(PIP_INSTALL) --no-deps --requirement requirements-nodeps.txt
	@touch $(LIGHT) $@

$(SITE): $(FULL)
	@echo "Installing the tools for the site into $(VENV) ..."
	$(PIP_INSTALL) --editable '.[docs]'
	@touch $@
