# The environment is made on first use and kept; a stamp file says that it is whole.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.complete

# the kernel `python3` is this environment's, whatever kernels the user has registered
export JUPYTER_PREFER_ENV_PATH := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
# threads that spin while they wait make training 4 times slower when the machine has other work
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help workbook smoke test endure official lab site summary bench lock clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

workbook: $(READY) ## run all notebooks on embedded people: reports/demo/*.html
	$(PY) -m reidlib run --profile demo
	@echo "What came again: reports/demo/90_summary.html. Start with reports/demo/00_quickstart.html."
	@echo "The committed study as pages with tables that sort and filter: make site, then build/site/index.html"

smoke: $(READY) ## run all notebooks in a few minutes; their numbers mean nothing
	$(PY) -m reidlib run --profile smoke

test: $(READY) ## lint, then types, tests and the notebooks at profile smoke, a process a core
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@store=$$(mktemp -d) && trap 'rm -rf "$$store"' EXIT && \
	echo "$(PY) -m pytest -n auto --dist loadfile --nbval-lax notebooks tests" && \
	OMP_NUM_THREADS=1 REIDLIB_RUNS="$$store" \
	  $(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder --nbval-lax notebooks tests

endure: $(READY) ## minutes of kills, full disks and first steps from a fresh clone
	$(PY) -m pytest -m endure -s tests/train/test_endure.py tests/test_first_number.py

official: $(READY) ## the profiles for a GPU, without one: every notebook on tiny stand-ins of all datasets
	$(PY) -m pytest -m official tests

lab: $(READY) ## open the notebooks in JupyterLab
	$(PY) -m jupyterlab $$([ "$$(id -u)" != 0 ] || echo --allow-root) notebooks

site: $(READY) ## the committed results as static pages: build/site/index.html; trains nothing
	$(PY) -m reidlib.workbook.site

summary: $(READY) ## renew reports/claims.csv and the README's table from the committed tables
	$(PY) -m reidlib.workbook.summary

bench: $(READY) ## measure the speed claims; those beside a peer only where its environment is
	@for file in $$(grep -l '^if __name__ ==' benchmarks/*.py | grep -v /peer_); do \
	  if grep -qE 'measure.torchreid|peer_python' "$$file" && ! [ -x "$${REIDLIB_PEERS:-build/peers/bin/python}" ]; then \
	    echo "== $$file: left out, it needs the peer's environment (see benchmarks/README.md)"; \
	  else \
	    echo "== $$file"; $(PY) "$$file" || exit 1; \
	  fi; \
	done

lock: $(READY) ## renew requirements.lock from pyproject.toml
	$(PY) -m uv pip compile pyproject.toml --extra workbook --extra dev --universal --upgrade \
	  --python-version 3.11 --no-emit-index-url --no-annotate --no-header -q -o requirements.lock

clean: ## remove environment and caches; stored runs and reports stay
	rm -rf $(VENV) cache build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find reidlib tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: $(PYTHON) is missing or older than Python 3.11; name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: $(PYTHON) has no venv or ensurepip module; install it (Debian, Ubuntu: python3-venv)" >&2; exit 1; }
	@rm -f $@
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing the packages of requirements.lock into $(VENV): once, some minutes"
	@$(PY) -m pip install -q --disable-pip-version-check -r requirements.lock
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
