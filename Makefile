# Everything that a person or CI runs. Each target does all of its own set-up.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
CARGO := cargo

.PHONY: help
help: ## Show the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: programs ## Play the user's scenario: one release succeeds, one rolls back (about five minutes)
	@tests/tools/packages.sh || true
	@tests/tools/build.sh $(if $(filter 0,$(shell id -u)),node,control-plane) >/dev/null
	@target/debug/canary-demo

.PHONY: test
test: programs ## Rules, plugin, server, and a real API server with simulated pods (about five minutes)
	@tests/tools/build.sh control-plane >/dev/null
	@echo "== rules, server, plugin and fixtures"
	@$(CARGO) test --quiet --workspace --lib
	@echo "== the plugin as a program, against a scripted API"
	@$(CARGO) test --quiet -p kubectl-canary --test cli
	@echo "== server and plugin on a real API server, pods simulated (four minutes)"
	@$(CARGO) test --quiet -p canary-tests --test cluster -- --test-threads 6

.PHONY: e2e
e2e: programs ## The user's scenario on a real node (Linux, root; about six minutes)
	@tests/tools/packages.sh
	@tests/tools/build.sh node >/dev/null
	@echo "== built-in queries in Prometheus' own engine"
	@$(CARGO) test --quiet -p canary-core --lib -- --ignored
	@echo "== the user's scenario on a real node (six minutes)"
	@$(CARGO) test --quiet -p canary-tests --test node

.PHONY: bench
bench: ## Measure; writes target/bench/results.json. CANARIES=N measures at rest
	@tests/tools/build.sh control-plane >/dev/null
	$(CARGO) build --quiet --release -p canary-webhook -p canary-tests --bin canary-webhook --bin canary-bench
	@target/release/canary-bench

.PHONY: check
check: ## Format, lints, licences, generated files, dependencies of the core
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --workspace --all-targets
	@tests/tools/core-is-pure.sh
	@diff <($(CARGO) run --quiet -p canary-core --example crds) manifests/crds.yaml || { echo "manifests/crds.yaml is stale: make manifests"; exit 1; }
	@if command -v cargo-deny >/dev/null; then cargo deny --log-level error check licenses bans sources; else echo "cargo-deny is not installed (cargo install cargo-deny): licences unchecked"; fi

.PHONY: manifests
manifests: ## Write the generated manifests
	$(CARGO) run --quiet -p canary-core --example crds > manifests/crds.yaml

.PHONY: mutants
mutants: ## Mutate the rules: no survivor without a written reason (docs/mutants.md)
	PROPTEST_CASES=$${PROPTEST_CASES:-200} $(CARGO) mutants

.PHONY: programs
programs:
	@echo "building kubectl-canary"
	@$(CARGO) build --quiet --workspace
