# The few verbs, the same on a laptop and in CI. `make demo` and `make test` install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
CODE := homing gateway router registry observability runtime bench proto/generate.py docs/generate_configuration.py

# The page's tests run wherever Chromium and playwright are; `make browser` brings them.
CAN_BROWSE := $(and $(shell command -v chromium),$(wildcard $(VENV)/lib/python3*/site-packages/playwright))

# Kafka's own tests run wherever there are Java and Maven; `make kafka` brings the broker, once.
KAFKA := .tools/kafka/libs/kafka_2.13-4.3.1.jar
CAN_KAFKA := $(and $(shell command -v java),$(shell command -v mvn))

.PHONY: install demo test kafka faults faults-kafka faults-slow-lines interop-slow proxies socketio socketio-load simulate fuzz browser format lint types unit bench cover proto config-docs build wheel-test deploy-test jaeger h2spec autobahn hostile peers etcd36 lock clean

install: $(INSTALLED)

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Homing needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# A cluster, a client, a push that arrives, the report. Stays up until Ctrl-C; ONCE=1 (or CI) stops at once.
demo: $(INSTALLED)
	$(BIN)/python examples/first_push.py $(if $(ONCE)$(CI),--once)

# Everything that must hold before a commit.
test: lint types $(if $(CAN_KAFKA),kafka) cover
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not compiled and not slow and not socketio$(if $(CAN_BROWSE),, and not browser)' \
	  tests/simulation tests/cluster tests/interop tests/browser
	@echo "Not run here: the tests with compiled clients (make interop-slow) and with proxies in front (make proxies; last results in docs/interop.md)," \
	  $(if $(CAN_BROWSE),,"the page in Chromium (make browser),") \
	  "Socket.IO's own clients, and many at once (make socketio, make socketio-load)," \
	  "the wheel's own test (make wheel-test)," \
	  "what hostile peers can do (make hostile; docs/hostile.md), faults under load (make faults; docs/faults.md)," \
	  "the gateway beside other servers (make peers; docs/performance.md)," \
	  "conformance of HTTP/2 and WebSocket (make h2spec, make autobahn; docs/interop.md)," \
	  "clients on slow lines (make faults-slow-lines), a minute without Kafka (make faults-kafka)$(if $(CAN_KAFKA),,; nor anything with Kafka: it needs java and mvn)"

# Foreign clients and callers that must be compiled first, once: websocat into .tools/ (minutes), Go's and Java's examples.
interop-slow: $(INSTALLED)
	test -x .tools/bin/websocat || cargo install websocat --version 1.14.1 --locked --root .tools
	$(BIN)/python -m pytest -m compiled --ignore tests/interop/test_proxies.py tests/interop

# nginx and HAProxy in front of a gateway, as docs/proxies.md configures them; a minute.
proxies: $(INSTALLED)
	{ command -v nginx && command -v haproxy; } >/dev/null || { apt-get update -qq && \
	  apt-get install -y --no-install-recommends nginx-light libnginx-mod-stream haproxy; }
	$(BIN)/python -m pytest -m compiled tests/interop/test_proxies.py

# Unmodified clients of Socket.IO and Engine.IO against three gateways behind HAProxy, and beside it against the reference
# server; with Chromium where it and playwright are. Needs node and npm; minutes. ONLY="upgrade and msgpack" takes some.
socketio: $(INSTALLED)
	@{ command -v node && command -v npm; } >/dev/null || { echo "Socket.IO's clients run on Node: install node and npm."; exit 1; }
	command -v haproxy >/dev/null || { apt-get update -qq && apt-get install -y --no-install-recommends haproxy; }
	cd tests/interop/socketio && npm ci --no-audit --no-fund --silent
	$(BIN)/python -m pip install --quiet --disable-pip-version-check python-socketio==5.18.1
	$(BIN)/python -m pytest -n 2 -m 'socketio and not compiled$(if $(CAN_BROWSE),, and not browser)' $(if $(ONLY),-k '$(ONLY)') \
	  tests/interop/socketio
	@echo "Not run here: compiled clients (make interop-slow)$(if $(CAN_BROWSE),,; the bundles in Chromium (make browser installs it))"

# 200 polling and 200 upgrading clients of Socket.IO for five minutes, each request at another of three gateways.
# CLIENTS=N SECONDS=N for others.
socketio-load: $(INSTALLED)
	$(BIN)/python -m pytest -s -m slow tests/cluster/test_socketio_load.py

# The page to try it, driven by Chromium; its picture goes to docs/page.png, for people to look at.
browser: $(INSTALLED)
	command -v chromium || { apt-get update -qq && \
	  apt-get install -y --no-install-recommends chromium fonts-dejavu-core; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check playwright==1.65.2
	PICTURE=docs/page.png $(BIN)/python -m pytest -m browser tests/browser

# A broker for `homing up --bus kafka` and for the tests: Apache Kafka's jars, from Maven.
kafka: $(KAFKA)

$(KAFKA): deploy/kafka/pom.xml
	@test -n "$(CAN_KAFKA)" || { echo "Kafka's jars come with Maven, and it runs on Java: install mvn and java (17 or newer)," \
	  "or name an Apache Kafka's folder in KAFKA_HOME."; exit 1; }
	mvn -B -q -f $< dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/.tools/kafka/libs
	@touch $@

# Experiment 18 at full length: a minute without Kafka under 1,000 events a second. Its figures are printed.
faults-kafka: $(INSTALLED) kafka
	$(BIN)/python -m pytest -s -m slow tests/cluster/test_kafka_away.py

# Experiment 15: clients behind 64 kbit/s. Needs root, for a network namespace, and iproute2.
faults-slow-lines: $(INSTALLED)
	$(BIN)/python -m pytest -s -m slow tests/cluster/test_slow_lines.py

# A simulated cluster on virtual time, with faults between every two steps; about seven minutes. A violation names its
# seed: SEED=N repeats exactly. STEPS=N for another length.
simulate: $(INSTALLED)
	$(BIN)/python -m tests.simulation --steps $(or $(STEPS),1000000) $(addprefix --seed ,$(SEED))

# Coverage-guided fuzzing of what reads bytes from the network; a minute for each of eight targets. SECONDS=N for longer,
# ONLY="reader json" for some. The corpora are committed, and read by the unit tests.
fuzz: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris==3.0.0
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(ONLY)

unit: $(INSTALLED)
	$(BIN)/python -m pytest -q tests/unit tests/property

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy $(CODE)
	cd examples/shared_document && ../../$(BIN)/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache .

# Have the ratios to a baseline become worse than bench/ratios.json says? About a minute; --record writes the file.
bench: $(INSTALLED)
	$(BIN)/python -m bench.cluster.ratio_check

# The tests that start no cluster, with branch coverage, which has floors; properties are tried with one seed, so that
# the figures repeat (`make unit` draws others each time). LINES=1 prints the lines that nothing runs.
cover: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile --hypothesis-seed=0 --cov --cov-report=json:.coverage.json \
	  $(if $(LINES),--cov-report=term-missing:skip-covered) tests/unit tests/property tests/contract
	$(BIN)/python -m tests.coverage_gate .coverage.json

# Generated code is committed; tests/unit/test_generated.py checks that it is current.
proto: $(INSTALLED)
	$(BIN)/python proto/generate.py

# docs/configuration.md from the settings structs; tests/unit/test_configuration_docs.py checks that it is current.
config-docs: $(INSTALLED)
	$(BIN)/python docs/generate_configuration.py

build: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

# The wheel in an environment of its own, run from a folder whose own packages have our services' names.
wheel-test: build
	.ci/wheel-test dist/homing-*.whl

# deploy/ without a container engine: docker-compose reads the file, every entry point starts from the wheel.
deploy-test: build
	test -x .tools/bin/docker-compose || { mkdir -p .tools/bin .tools/compose && cd .tools/compose && \
	  { test -f go.mod || go mod init compose; } && go get -tool github.com/docker/compose/v2/cmd@v2.40.3 && \
	  go build -trimpath -ldflags '-s -w' -o ../bin/docker-compose github.com/docker/compose/v2/cmd; }
	$(BIN)/python .ci/deploy-test .tools/bin/docker-compose $(PYTHON) dist/homing-*.whl

# Jaeger, from source: a module of its own, because its go.mod has replace directives. Takes about five minutes.
jaeger:
	test -x .tools/bin/jaeger || { mkdir -p .tools/bin .tools/jaeger && cd .tools/jaeger && \
	  { test -f go.mod || go mod init jaeger; } && go get -tool github.com/jaegertracing/jaeger/cmd/jaeger@v1.76.0 && \
	  go build -trimpath -ldflags '-s -w' -o ../bin/jaeger github.com/jaegertracing/jaeger/cmd/jaeger; }

# Conformance of the router's HTTP/2: h2spec, all its cases, against bench/hostile/h2spec_expected.toml; half a minute.
# SERVER="nghttpd grpcio grpc-go" runs it against those instead, to compare.
h2spec: $(INSTALLED) .tools/bin/h2spec $(if $(filter grpc-go,$(SERVER)),.tools/bin/grpc-go-server)
	$(BIN)/python -m bench.hostile.h2spec $(addprefix --server ,$(SERVER))

# Conformance of the gateway's WebSocket: Autobahn's cases, all 517 with compression, against a gateway with an echo path
# and bench/hostile/autobahn_expected.toml; minutes. ONLY="12.*" takes some; RECORD=1 writes the table to docs/interop.md;
# TLS=1 runs them over TLS.
autobahn: $(INSTALLED) .tools/kosoku/bin/kosoku
	$(BIN)/python -m bench.hostile.autobahn $(patsubst %,--only '%',$(ONLY)) $(if $(TLS),--tls) $(if $(RECORD),--record)

# A port of the suite to Python 3, in an environment of its own.
.tools/kosoku/bin/kosoku:
	$(PYTHON) -m venv .tools/kosoku
	.tools/kosoku/bin/python -m pip install --quiet --disable-pip-version-check kosoku==0.1.0

# From source, by a module of its own. Its tags from 2.3 on are not on the module proxy; the cases are the same 146.
.tools/bin/h2spec:
	mkdir -p .tools/bin .tools/h2spec && cd .tools/h2spec && { test -f go.mod || go mod init h2spec; } && \
	  go get -tool github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible && \
	  go build -trimpath -ldflags '-s -w' -o ../bin/h2spec github.com/summerwind/h2spec/cmd/h2spec

.tools/bin/grpc-go-server: bench/hostile/grpc_go/main.go
	mkdir -p .tools/bin .tools/grpc-go && cp $< .tools/grpc-go/ && cd .tools/grpc-go && \
	  { test -f go.mod || go mod init server; } && go get google.golang.org/grpc@v1.79.1 && \
	  go build -trimpath -ldflags '-s -w' -o ../bin/grpc-go-server .

# Attacks on the router's public ports, beside a grpcio server with the same services; about ten minutes. ONLY="flood"
# takes some of them.
hostile: $(INSTALLED)
	$(BIN)/python -m bench.hostile $(addprefix --only ,$(ONLY))

# The gateway beside other servers of WebSocket, plain and over TLS: memory and CPU (docs/performance.md); a quarter of an
# hour. ONLY="aiohttp" takes some of them.
peers: $(INSTALLED) .tools/peers/installed
	$(BIN)/python -m bench.peers $(addprefix --only ,$(ONLY))

# Those servers, in an environment of their own.
.tools/peers/installed: Makefile
	$(PYTHON) -m venv .tools/peers
	.tools/peers/bin/python -m pip install --quiet --disable-pip-version-check \
	  aiohttp==3.14.5 websockets==17.4 socketify==0.0.31 uvloop==0.23.0
	@touch $@

# Faults on a cluster of real processes under load, one experiment after the other; about a quarter of an hour. ONLY="19"
# takes some of them, by number or by a word of their names; RECORD=1 writes the table to docs/faults.md, TLS=1 has clients
# that speak TLS.
faults: $(INSTALLED) $(if $(shell command -v go),.tools/bin/etcd36)
	$(BIN)/python -m bench.faults $(addprefix --only ,$(ONLY)) $(if $(RECORD),--record) $(if $(TLS),--tls)

# etcd 3.6 for `make faults`, from source, by a module of its own; half a minute. The wheel's 3.5.1 can lose committed data
# when it is killed under load.
etcd36: .tools/bin/etcd36

.tools/bin/etcd36: bench/faults/etcd36/main.go
	mkdir -p .tools/bin .tools/etcd36 && cp $< .tools/etcd36/ && cd .tools/etcd36 && \
	  { test -f go.mod || go mod init etcd36; } && go get go.etcd.io/etcd/server/v3@v3.6.16 && go mod tidy && \
	  go build -trimpath -ldflags '-s -w' -o ../bin/etcd36 .

# The lock: what pyproject.toml asks for, pinned and hashed, without the address of any registry.
lock: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	rm -f uv.lock
	$(BIN)/uv export --quiet --python $(BIN)/python --format requirements.txt --all-extras --no-emit-project -o requirements.txt
	$(BIN)/uv export --quiet --python $(BIN)/python --format requirements.txt --extra kafka --no-dev --no-emit-project \
	  -o deploy/requirements.txt
	rm -f uv.lock

clean:
	rm -rf $(VENV) .homing build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
