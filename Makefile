# make demo   pack, train, evaluate, export and predict on handwritten digits
# make docs   the pages, in docs/_build/html, with the notebook's outputs
# make test   all checks; make test-slow adds the proofs that take minutes, make test-browser tries the page in Chromium
# make test-gpu    the full net on GPUs beside the CPU, and the tests of several devices on them

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The CUDA build of MXNet where the NVIDIA driver is, the CPU build elsewhere.
EXTRA ?= $(shell $(PYTHON) -c "import ctypes; ctypes.CDLL('libcuda.so.1')" 2>/dev/null && echo cu112 || echo cpu)

.PHONY: demo docs test test-slow test-browser test-gpu bench clean

$(VENV)/made: setup.py pyproject.toml
	@$(PYTHON) -c "import sys; ok = (3, 10) <= sys.version_info[:2] <= (3, 12); \
	ok or sys.exit('MXNet needs Python 3.10 to 3.12 and $(PYTHON) is ' + sys.version.split()[0] + '; try: make PYTHON=python3.11 $(MAKECMDGOALS)')"
	@$(PYTHON) -c "import venv, ensurepip" 2>/dev/null || \
	{ echo "$(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRA),demo,test]"
	$(BIN)/alexnet-tools doctor
	@touch $@

demo: $(VENV)/made
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# Warnings are errors, a broken link inside is one; a test builds the same without running the notebook.
docs: $(VENV)/made
	PATH="$(CURDIR)/$(BIN):$$PATH" NB_EXECUTION=force $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

test: $(VENV)/made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n auto -m "not slow and not browser"

# PyTorch, the peer of proofs and benchmarks, has an environment of its own: gluoncv changes where it finds PyTorch.
# What `export --pytorch` writes needs safetensors beside it.
.venv-bench/made:
	$(PYTHON) -m venv --clear .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 "numpy<2" safetensors
	@touch $@

test-slow: $(VENV)/made .venv-bench/made
	$(BIN)/pytest -q -m "not browser"

test-browser: $(VENV)/made
	@absent=$$(for name in chromium chromedriver; do command -v $$name >/dev/null || echo $$name; done | paste -sd' '); \
	test -z "$$absent" || { echo "$$absent missing; on Debian: apt-get install chromium chromium-driver"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[browser]"
	@if command -v npm >/dev/null; then npm install --silent --no-fund --global --prefix $(VENV) axe-core@4; \
	else echo "npm missing: the page is not tried with axe-core; on Debian: apt-get install npm"; fi
	$(BIN)/pytest -q -rs tests/browser

# make test-gpu GPUS=0,1 on a machine with GPUs; CPUS=0,1 tries the same check on two CPU contexts.
GPUS ?= $(if $(CPUS),,0,1)
test-gpu: $(VENV)/made
	$(BIN)/alexnet-tools doctor --check $(if $(CPUS),--cpus $(CPUS),--gpus $(GPUS))
	TEST_GPUS=$(GPUS) $(BIN)/pytest -q tests/model/test_column_parallel.py tests/training/test_replicas.py

# The other peers of benchmarks; one that cannot be installed has a row that says so.
.venv-bench/peers: .venv-bench/made
	-$(PYTHON) -m venv --clear .venv-bench/jax && \
	.venv-bench/jax/bin/python -m pip install --quiet --disable-pip-version-check jax jaxlib
	-$(PYTHON) -m venv --clear .venv-bench/onnx && \
	.venv-bench/onnx/bin/python -m pip install --quiet --disable-pip-version-check onnxruntime onnx openvino nncf
	@touch $@

bench: $(VENV)/made .venv-bench/peers
	$(BIN)/python benchmarks/training.py --torch .venv-bench/bin/python --jax .venv-bench/jax/bin/python
	$(BIN)/python benchmarks/evaluation.py --torch .venv-bench/bin/python --onnx .venv-bench/onnx/bin/python

clean:
	rm -rf $(VENV) .venv-bench demo docs/_build
