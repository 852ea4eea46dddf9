# Every verb of the house. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STEP := scripts/step
PYTEST := $(BIN)/python -m pytest

# What was compiled is kept: else each process, and Ray starts twenty, compiles everything it imports anew
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run run-dry run-bot setup sync torch lock fmt lint test test-computing test-ray coverage unit smoke slow slow-computing slow-serving slow-training bench loadtest accuracy protos docs clean train rl gate

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# pip is what venv makes last: a .venv that was begun and not ended lacks it, and is made anew
.venv/bin/pip:
	@scripts/python_check $(PYTHON)
	@$(STEP) "virtual environment" $(PYTHON) -m venv --clear .venv

.venv/.installed: requirements.lock pyproject.toml | .venv/bin/pip
	@$(STEP) "packages of the lock" $(BIN)/python -m pip install --no-compile --require-hashes -r requirements.lock
	@$(STEP) "crpbot" $(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@$(STEP) "kernels" $(BIN)/python -m serving.app compile
	@touch $@

.venv/.installed-dev: requirements-dev.lock .venv/.installed
	@$(STEP) "packages for tests" $(BIN)/python -m pip install --no-compile --require-hashes -r requirements-dev.lock
	@touch $@

.venv/.installed-bench: requirements-bench.txt .venv/.installed-dev
	@$(STEP) "yardstick of the benchmark" $(BIN)/python -m pip install --no-compile --no-deps --require-hashes -r requirements-bench.txt
	@touch $@

run: .venv/.installed ## set up and serve the whole product on the synthetic market
	@$(BIN)/crpbot serve

run-dry: .venv/.installed ## serve in dryrun, a scan every two minutes, without end
	@RUNTIME_MODE=dryrun CRPBOT__SERVING__SCHEDULE=true CRPBOT__SERVING__SCHEDULE_SECONDS=120 $(BIN)/crpbot serve

run-bot: .venv/.installed ## serve live, without end; say it twice: make run-bot CONFIRM=live
	@[ "$(CONFIRM)" = live ] || { echo "live marks signals as meant to be traded; say it twice: make run-bot CONFIRM=live" >&2; exit 2; }
	@RUNTIME_MODE=live CRPBOT_CONFIRM=live CRPBOT__SERVING__SCHEDULE=true $(BIN)/crpbot serve

setup: .venv/.installed-dev .venv/.installed-torch ## everything a developer needs, torch included

sync: .venv/bin/pip ## reinstall exactly what the locks say
	@rm -f .venv/.installed .venv/.installed-dev .venv/.installed-torch
	@$(MAKE) --no-print-directory .venv/.installed-dev

.venv/.installed-torch: requirements-torch.txt .venv/.installed
	@$(STEP) "torch" $(BIN)/python scripts/install_torch.py $(if $(CUDA),--cuda)
	@touch $@

torch: .venv/.installed-torch ## install torch for the models (CUDA=yes takes the CUDA build on a machine without a GPU)

train: torch ## train a coin's model and judge it: make train COIN=BTC EPOCHS=15 (DAYS=730 for two years, PRESET=original, DATA=FOLDER)
	@$(BIN)/crpbot train lstm --coin $(or $(COIN),BTC) --epochs $(or $(EPOCHS),15) --preset $(or $(PRESET),fast) \
		$(if $(DAYS),--days $(DAYS)) $(if $(SEED),--seed $(SEED)) $(if $(DATA),--data $(DATA))

rl: torch ## train the execution agent and judge it: make rl STEPS=8000000 COIN=BTC
	@$(BIN)/crpbot train ppo --steps $(or $(STEPS),8000000) --coin $(or $(COIN),BTC) \
		$(if $(DAYS),--days $(DAYS)) $(if $(SEED),--seed $(SEED)) $(if $(DATA),--data $(DATA))

fmt: .venv/.installed-dev ## format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lint: .venv/.installed-dev .venv/.installed-torch ## style, types, contract
	@$(STEP) "ruff" $(BIN)/ruff check .
	@$(STEP) "format" $(BIN)/ruff format --check .
	@$(STEP) "mypy" $(BIN)/mypy
	@$(STEP) "buf lint" $(BIN)/buf lint

unit: .venv/.installed-dev .venv/.installed-torch ## tests without Ray; accuracy and smoke have verbs of their own
	@$(PYTEST) -n 2 -m "not slow and not serve and not smoke" --ignore=tests/accuracy

# The tests of Ray keep two thirds of one core busy, so they run beside the others. Of two test processes at a time one
# prints as it goes and the other, in one piece, when it has ended; both run to their ends though one may fail.
WHEN_ENDED = log=$$(mktemp); $(1) >"$$log" 2>&1; status=$$?; cat "$$log"; rm -f "$$log"; exit $$status

test: .venv/.installed-dev .venv/.installed-torch ## every test but the slow ones, one Ray for the whole run
	@$(MAKE) --no-print-directory -j2 test-computing test-ray

test-computing:
	@$(PYTEST) -n 2 -m "not slow and not serve"

test-ray:
	@$(call WHEN_ENDED,$(PYTEST) -m "serve and not slow" tests/serving --durations=10)

coverage: .venv/.installed-dev .venv/.installed-torch ## the same but for Ray, and which lines nobody ran; half as long again
	@$(PYTEST) -n 2 -m "not slow and not serve" --cov --cov-report=term:skip-covered

smoke: .venv/.installed-dev ## five minutes of market end to end, in seconds
	@$(PYTEST) -m smoke

slow: .venv/.installed-dev .venv/.installed-torch ## the tests that take minutes; those that count seconds come last, alone
	@$(MAKE) --no-print-directory -j3 slow-computing slow-serving slow-training
	@$(PYTEST) -m "slow and alone" tests/serving tests/loadtests --durations=10
	@$(PYTEST) -m "slow and alone" tests/training --durations=10

# two processes that compute beside two that wait for Ray more than they compute
slow-computing:
	@$(PYTEST) -n 2 -m "slow and not serve and not waits and not alone" --durations=10

slow-serving:
	@$(call WHEN_ENDED,$(PYTEST) -m "slow and (serve or waits) and not alone" tests/serving --durations=10)

# Ray reads how it authenticates once in a process: the training jobs, which start a cluster, have one of their own
slow-training:
	@$(call WHEN_ENDED,$(PYTEST) -m "slow and (serve or waits) and not alone" tests/training --durations=10)

accuracy: .venv/.installed-dev ## the theories against their ground truth: make accuracy SEED=1 N=5000 (RECORD=yes: for the docs)
	@$(if $(SEED),ACCURACY_SEED=$(SEED)) $(if $(N),ACCURACY_N=$(N)) \
		$(if $(RECORD),ACCURACY_RECORD=docs/measured/accuracy.json) $(PYTEST) tests/accuracy

bench: .venv/.installed-bench torch ## measure: theories against libraries, gateway against bare servers
	@$(BIN)/python -m bench.theories
	@$(BIN)/python -m bench.features
	@$(BIN)/python -m bench.fetch
	@$(BIN)/python -m bench.analyze
	@$(BIN)/python -m bench.signals
	@$(BIN)/python -m bench.signals --mode ray --models
	@$(BIN)/python -m bench.swap
	@$(BIN)/python -m bench.kills
	@$(BIN)/python -m bench.races
	@$(BIN)/python -m bench.gateway
	@$(BIN)/python -m bench.dataset
	@$(BIN)/python -m bench.networks
	@$(BIN)/python -m bench.models
	@$(BIN)/python -m bench.training
	@$(BIN)/python -m bench.presets
	@$(BIN)/python -m bench.ppo

gate: torch ## try to fool the promotion gate: searches on noise, models on a planted edge (minutes)
	@$(BIN)/python -m bench.gate

loadtest: .venv/.installed-dev ## 30 s of load on a server of its own, with a table at the end
	@$(BIN)/python -m loadtests.run

protos: .venv/.installed-dev ## generate the gRPC code
	@$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. protos/crpbot.proto

docs: .venv/.installed-dev ## generate theories, market_data, features and settings in docs/, and .env.example
	@$(BIN)/python -m cli.docs

LOCK := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links
lock: .venv/.installed-dev ## resolve the locks anew (minutes)
	@$(STEP) "requirements.lock" $(LOCK) -o requirements.lock pyproject.toml
	@$(STEP) "requirements-dev.lock" $(LOCK) --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

clean: ## remove what was built here, the database and logs of .crpbot included
	@rm -rf .venv .crpbot .cache .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
