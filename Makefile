# Square Sync's front door. `make` alone lists what it can do.
#
# Tools are pinned and installed into the checkout (.venv, .tools, node_modules),
# only when they are missing. Needed before: a Rust toolchain (rustup), Python
# 3.10 or newer, a C compiler, and make itself.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
TARGET := $(or $(CARGO_TARGET_DIR),target)
LOCAL := $(TARGET)/debug/local
# The files of requirements name all that is needed, each with what it hashes to:
# nothing else gets in.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
JUDGES := $(wildcard tests/square-sim/judges/requirements.txt)
CARGO_DENY_VERSION := 0.20.2

# ------------------------------------------------------------------ To use it

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: prepared ## Start the local stack, sync once, stay until Ctrl-C (ARGS=--no-first-sync)
	@$(LOCAL) run --end-with-parent $(ARGS)

.PHONY: sync
sync: $(LOCAL) ## Ask the running stack for a run and show it (ARGS='--only catalog', --historical-orders, --migrate)
	@$(LOCAL) sync $(ARGS)

.PHONY: token
token: $(LOCAL) ## Print a fresh bearer token for the running stack's API
	@$(LOCAL) token

.PHONY: bench
bench: tools ## Measure each kind of run as it is released, on a large account and on half of it (ARGS='--quick --only idle,delta --explain')
	@cargo build --quiet --release --workspace --bins
	@$(TARGET)/release/local bench $(ARGS)

.PHONY: measure
measure: tools ## Measure cold starts and memory of each function as it is released, and the archives of make release
	@cargo build --quiet --release --workspace --bins
	@$(TARGET)/release/local measure

# ----------------------------------------------------------------- On AWS

FUNCTIONS := $(notdir $(wildcard functions/*))

# What cargo-lambda calls optimizations is a profile of its own, in which a panic
# aborts; ours is in Cargo.toml.
.PHONY: release
release: .tools/lambda/.ready ## Build the functions for AWS, as deploy and plan do
	@rustup target list --installed | grep -q aarch64-unknown-linux-gnu || rustup target add aarch64-unknown-linux-gnu
	@PATH="$(CURDIR)/.tools/lambda/bin:$$PATH" cargo lambda build --quiet --locked --release --arm64 --output-format zip \
	  --disable-optimizations --lambda-dir target/lambda $(addprefix -p ,$(FUNCTIONS))

.PHONY: deploy
deploy: release .tools/sam/.ready ## Deploy to AWS; asks the first time (ARGS='--stack-name … --parameter-overrides …')
	@sh infra/deploy.sh deploy $(ARGS)

.PHONY: plan
plan: release .tools/sam/.ready ## Show what deploy would change on AWS, and change nothing
	@sh infra/deploy.sh plan $(ARGS)

.PHONY: secret
secret: release .tools/sam/.ready ## Deploy with a new secret, which it asks for (NAME=SquareAccessToken, DatabaseUrl or OidcClientSecret)
	@sh infra/deploy.sh secret "$(NAME)" $(ARGS)

.PHONY: destroy
destroy: .tools/sam/.ready ## Delete the stack from AWS, after asking; the database stays
	@sh infra/deploy.sh destroy $(ARGS)

# -------------------------------------------------------------- To work on it

# Most of a scenario's time is waiting, for a page or for its turn at a stack: more
# of them at once than there are processors.
.PHONY: test
test: browser prepared ## Run all tests (ARGS='-p shared name')
	@RUST_TEST_THREADS=$${RUST_TEST_THREADS:-6} cargo test $(or $(ARGS),--workspace)

.PHONY: chaos
chaos: .venv/.ready ## Play seeded histories in which anything goes wrong (ARGS='--seeds 2000 --from 1 --jobs 2', --seed N replays one)
	@cargo test --quiet --workspace --test chaos -- $(or $(ARGS),--seeds 500)

.PHONY: lint
lint: lint-imports lint-rust lint-infra ## Check formatting, lints, imports, dependencies, the template and the state machines

.PHONY: fmt
fmt: ## Format the code
	@cargo fmt --all

.PHONY: build
build: ## Build the functions, the simulated account and the local stack
	@cargo build --workspace --bins

.PHONY: tools
tools: .venv/.ready .tools/sam/.ready .tools/schemathesis/.ready tests/browser/node_modules/.ready ## Install what run and test need into the checkout

# Compiling and installing wait for different things: side by side they take
# little longer than the compiling alone.
.PHONY: prepared
prepared:
	@$(MAKE) --no-print-directory -j 3 build tools

$(LOCAL):
	@$(MAKE) --no-print-directory build

# ---------------------------------------------------------------------- Lints

.PHONY: lint-rust
lint-rust: .tools/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings
	@sh infra/lint/dependencies.sh $<

# Each crate with layers has a line here, and a file that lists them.
.PHONY: lint-imports
lint-imports: | python
	@$(PYTHON) infra/lint/imports.py shared/src infra/lint/layers/shared.txt
	@$(PYTHON) infra/lint/imports.py functions/api/src infra/lint/layers/api.txt

# Side by side, because none of them waits for another. Lint-planted sees to it
# that the others find what they should.
.PHONY: lint-infra
lint-infra: .tools/sam/.ready .tools/checkov/.ready infra/lint/node_modules/.ready
	@$(MAKE) --no-print-directory -j 3 lint-template lint-machines lint-planted

.PHONY: lint-template
lint-template:
	@.tools/sam/bin/python infra/lint/template.py infra/template.yaml $(TARGET)/lint/template.json
	@$(PYTHON) infra/lint/documents.py README.md docs/DEPLOYING.md infra/RUNBOOK.md
	@.tools/checkov/bin/python infra/lint/scan.py .tools/checkov/bin/checkov $(TARGET)/lint/template.json

.PHONY: lint-machines
lint-machines:
	@.tools/node/bin/node infra/lint/node_modules/asl-validator/dist/bin/asl-validator.js \
	  $(foreach machine,$(wildcard infra/statemachines/*.asl.json),--json-path $(machine))

# Each file by itself, so that they can run side by side.
PLANTED := $(wildcard infra/lint/test_*.py)
.PHONY: lint-planted $(PLANTED)
lint-planted: $(PLANTED)
$(PLANTED):
	@NODE=.tools/node/bin/node .tools/sam/bin/python $@

# ---------------------------------------------------------------------- Tools

.PHONY: python
python:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Square Sync needs Python 3.10 or newer with its venv module (on Debian: apt install python3-venv); PYTHON=… chooses another one" >&2; exit 1; }

.venv/.ready: infra/requirements/stack.txt $(JUDGES) | python
	@echo "Installing the local AWS and PostgreSQL into .venv"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP_INSTALL) $(addprefix -r ,$^)
	@touch $@

.tools/sam/.ready: infra/requirements/sam.txt | python
	@echo "Installing AWS SAM into .tools/sam"
	@$(PYTHON) -m venv .tools/sam
	@.tools/sam/bin/python $(PIP_INSTALL) $(addprefix -r ,$^)
	@touch $@

.tools/schemathesis/.ready: infra/requirements/schemathesis.txt | python
	@echo "Installing schemathesis into .tools/schemathesis"
	@$(PYTHON) -m venv .tools/schemathesis
	@.tools/schemathesis/bin/python $(PIP_INSTALL) -r $<
	@touch $@

.tools/lambda/.ready: infra/requirements/lambda.txt | python
	@echo "Installing cargo-lambda into .tools/lambda"
	@$(PYTHON) -m venv .tools/lambda
	@.tools/lambda/bin/python $(PIP_INSTALL) $(addprefix -r ,$^)
	@touch $@

.tools/checkov/.ready: infra/requirements/checkov.txt | python
	@echo "Installing checkov into .tools/checkov"
	@$(PYTHON) -m venv .tools/checkov
	@.tools/checkov/bin/python $(PIP_INSTALL) $(addprefix -r ,$^)
	@touch $@

.tools/node/.ready: infra/requirements/node.txt | python
	@echo "Installing Node into .tools/node"
	@$(PYTHON) -m venv .tools/node
	@.tools/node/bin/python $(PIP_INSTALL) $(addprefix -r ,$^)
	@touch $@

infra/lint/node_modules/.ready: infra/lint/package.json infra/lint/package-lock.json .tools/node/.ready
	@echo "Installing the state machines' lint into infra/lint/node_modules"
	@cd infra/lint && PATH="$(CURDIR)/.tools/node/bin:$$PATH" npm ci --loglevel=error --no-audit --no-fund
	@touch $@

tests/browser/node_modules/.ready: tests/browser/package.json tests/browser/package-lock.json .tools/node/.ready
	@echo "Installing the pages' judges into tests/browser/node_modules"
	@cd tests/browser && PATH="$(CURDIR)/.tools/node/bin:$$PATH" npm ci --loglevel=error --no-audit --no-fund
	@touch $@

# Chromium is the one tool that no package index pins; without it the tests of
# the pages are skipped, and say so.
.PHONY: browser
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name && break; done >/dev/null && \
	  command -v chromedriver >/dev/null || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  echo "Installing Chromium and its driver" && \
	  { apt-get update -qq || true; } && \
	  apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null; } || \
	  echo "NO BROWSER: install chromium and chromedriver (on Debian: apt install chromium chromium-driver); the browser tests will be skipped" >&2

.tools/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny:
	@echo "Installing cargo-deny $(CARGO_DENY_VERSION) into .tools (some minutes, once)"
	@cargo install cargo-deny --quiet --debug --locked --version $(CARGO_DENY_VERSION) --root $(dir $(@D))
