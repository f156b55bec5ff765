# What people and CI run. `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
EACH ?= 60

.PHONY: help deps build demo test test-offline fuzz lint reference docs deny oracle picture

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

deps: ## Install the Debian packages that are missing
	@scripts/install-deps.sh

build: deps ## Build the program
	$(CARGO) build --release --locked

demo: build ## Simulate a delivery, make its products, check them
	@scripts/demo.sh

test: test-offline ## Run all tests, also those that need Ceph, moto and azurite, which it installs and starts
	@scripts/servers/with.sh $(CARGO) test --locked --test storage -- --ignored

test-offline: deps ## Run all tests that need no other program's server
	$(CARGO) test --workspace --locked

fuzz: deps ## Fuzz every reader of bytes from outside, two at a time, each for EACH seconds
	@scripts/fuzz.sh $(EACH)

lint: deps ## Check format, lints, and that the generated documentation is up to date
	$(CARGO) fmt --all --check
	$(CARGO) run --quiet --locked --example reference -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null  # its lock file is current

reference: deps ## Write the generated parts of docs/
	$(CARGO) run --quiet --locked --example reference

docs: deps ## Build the documentation of the code
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

deny: ## Check licences, bans and sources of the dependencies (needs cargo-deny)
	$(CARGO) deny --locked check licenses bans sources

oracle: build ## Compare with programs and data nobody here wrote (Python packages from PyPI; takes minutes)
	$(CARGO) build --release --locked --example write_cog --example rpc_points
	@DATA="$(DATA)" PYTHON="$(PYTHON)" scripts/oracle.sh

picture: ## Draw docs/images/demo.png from the demo's output (needs gdal-bin)
	@scripts/picture.sh
