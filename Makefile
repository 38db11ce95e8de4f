# Everything is installed into .venv of this folder; root is not needed.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
OUT    ?= demo

.PHONY: demo test test-quick test-cluster lint docs clean

## The main job: set up, compute Cs4PbBr6 and its bromine vacancy with HSE06 and spin-orbit coupling, show.
demo: $(VENV)/engines
	$(BIN)/midgap run --preset demo --out $(OUT)

## Set up, then all tests. CP2K is a Debian package: installed if this is root on Debian, else its tests say so.
test: $(VENV)/engines $(VENV)/dev
	@command -v cp2k.psmp cp2k.popt cp2k.ssmp cp2k >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -y -qq --no-install-recommends cp2k >/dev/null; } \
	  || echo "CP2K is not here and cannot be installed: its tests will be left out."
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

## Real flows through a Slurm, a MongoDB and an SSH server of its own on 127.0.0.1: Debian, as root.
test-cluster: $(VENV)/engines $(VENV)/dev
	MIDGAP_MONGOD_VENV=$(CURDIR)/$(VENV)/mongod $(BIN)/python tests/cluster/stack.py install
	OMP_NUM_THREADS=1 MIDGAP_MONGOD_VENV=$(CURDIR)/$(VENV)/mongod $(BIN)/python -m pytest -n 0 tests/cluster

## The tests that need no engine and no browser, and none that takes long: before every commit.
test-quick: $(VENV)/dev
	OMP_NUM_THREADS=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/python -m pytest -p xdist -n auto -m "not engine and not slow"

## The documentation, warnings being errors, and the examples in docstrings.
docs: $(VENV)/dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -q --doctest-modules --ignore-glob='*_driver.py' -o norecursedirs=__pycache__ $(ROOMS)

ROOMS := structures defects workflows experiment report cli

# mypy does not follow an editable install, so it is shown the rooms under their name.
lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p $(VENV)/typed/midgap && for room in $(ROOMS); do ln -sfn "$(CURDIR)/$$room" $(VENV)/typed/midgap/$$room; done
	MYPYPATH=$(VENV)/typed $(BIN)/python -m mypy --namespace-packages --explicit-package-bases -p midgap

$(VENV)/package: pyproject.toml
	@echo "[setup] virtual environment and packages, about 90 s"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --disable-pip-version-check install -q -e '.[pyscf]'
	@touch $@

$(VENV)/engines: $(VENV)/package
	@echo "[setup] GPAW is built from source, about 40 s"
	@$(BIN)/midgap doctor --install gpaw
	@touch $@

$(VENV)/dev: $(VENV)/package
	$(BIN)/python -m pip --disable-pip-version-check install -q -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
