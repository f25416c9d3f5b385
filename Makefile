# Everything that a person or CI runs. Each target does all of its own set-up.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
CARGO := cargo

# The histories that `make test` plays are always the same, so that it fails by what was changed and not by
# chance; `make soak` looks for others.
SEED ?= 20260101

# Static, so that the image needs nothing besides.
MUSL := $(shell uname -m)-unknown-linux-musl
IMAGE := ghcr.io/kubectl-canary/canary-webhook:$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)

# What the chart renders is what kustomize installs. Copies, as a packaged chart holds no other files, and
# GitOps tools leave symbolic links out.
CHART_FILES := $(filter-out %/namespace.yaml %/kustomization.yaml,$(wildcard manifests/base/*.yaml)) \
	manifests/components/cert-manager/certificates.yaml

.PHONY: help
help: ## Show the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: programs ## Play the user's scenario: one release succeeds, one rolls back (about five minutes; KEEP=1: the cluster stays until Ctrl-C)
	@tests/tools/packages.sh || true
	@tests/tools/build.sh $(if $(filter 0,$(shell id -u)),node,control-plane) >/dev/null
	@target/debug/canary-demo $(if $(KEEP),--keep)

.PHONY: test
test: programs ## Rules, plugin, server, the docs' commands, and a real API server with simulated pods (six minutes)
	@tests/tools/build.sh control-plane >/dev/null
	@echo "== rules, server, plugin and fixtures"
	@PROPTEST_RNG_SEED=$(SEED) $(CARGO) test --quiet --workspace --lib
	@echo "== the plugin as a program, against a scripted API"
	@$(CARGO) test --quiet -p kubectl-canary --test cli
	@echo "== admission reviews that nobody would send"
	@$(CARGO) test --quiet -p canary-tests --test fuzz
	@echo "== the commands of README.md and docs/, as a person types them (a minute)"
	@$(CARGO) test --quiet -p canary-tests --test docs
	@echo "== server and plugin on a real API server, pods simulated (four minutes)"
	@$(CARGO) test --quiet -p canary-tests --test cluster -- --test-threads 6

.PHONY: browser
browser: programs ## The dashboard in a real Chromium, on a real API server (about two minutes)
	@tests/tools/browser.sh
	@tests/tools/build.sh control-plane >/dev/null
	@echo "== the dashboard in a browser"
	@$(CARGO) test --quiet -p canary-tests --test browser -- --test-threads 1 --nocapture

.PHONY: page
page: ## Renew the library of the dashboard's page, as plugin/page/package-lock.json has it
	@cd plugin/page && npm ci --ignore-scripts --silent
	@cp plugin/page/node_modules/uplot/dist/{uPlot.iife.min.js,uPlot.min.css} plugin/page/vendor/
	@cp plugin/page/node_modules/uplot/LICENSE plugin/page/vendor/LICENSE.uplot

.PHONY: soak
soak: ## Look for histories that break the rules: CASES=N of each property, others each time
	PROPTEST_CASES=$(or $(CASES),200000) $(CARGO) test --quiet -p canary-core --lib properties

.PHONY: fuzz
fuzz: ## Send mutated admission reviews to the server, for ten minutes. FUZZ_SECONDS=N, FUZZ_SEED=N
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-600} $(CARGO) test --quiet -p canary-tests --test fuzz -- --ignored --nocapture

.PHONY: corpus
corpus: programs ## Record anew what the fuzzer begins with, from a real API server
	@tests/tools/build.sh control-plane >/dev/null
	@rm -f tests/corpus/admission/*.json
	@$(CARGO) test --quiet -p canary-tests --test cluster -- --ignored corpus

.PHONY: e2e
e2e: programs ## The user's scenario on a real node (Linux, root; about six minutes)
	@tests/tools/packages.sh
	@tests/tools/build.sh node >/dev/null
	@$(MAKE) --no-print-directory image
	@echo "== built-in queries in Prometheus' own engine"
	@$(CARGO) test --quiet -p canary-core --lib -- --ignored
	@echo "== the user's scenario on a real node (six minutes)"
	@$(CARGO) test --quiet -p canary-tests --test node

.PHONY: bench
bench: ## Measure; writes target/bench/results.json. CANARIES=N measures at rest
	@tests/tools/build.sh control-plane >/dev/null
	$(CARGO) build --quiet --release -p canary-webhook -p canary-tests --bin canary-webhook --bin canary-bench
	$(CARGO) build --quiet --profile small -p kubectl-canary
	@target/release/canary-bench

.PHONY: image
image: ## Build the server's image, without Docker: target/image/canary-webhook.tar (OCI archive)
	@command -v rustup >/dev/null && rustup target add $(MUSL) >/dev/null 2>&1 || true
	@command -v musl-gcc >/dev/null || { echo "musl-gcc is missing (Debian: apt-get install musl-tools)"; exit 3; }
	@echo "building canary-webhook for $(MUSL)"
	@$(CARGO) build --quiet --release --target $(MUSL) -p canary-webhook --bin canary-webhook
	@manifests/image/build.sh $(IMAGE) target/$(MUSL)/release/canary-webhook target/image/canary-webhook.tar
	@du --apparent-size -h target/$(MUSL)/release/canary-webhook target/image/canary-webhook.tar

.PHONY: chart
chart: ## Lint the Helm chart and pack it into target/chart
	@tests/tools/build.sh control-plane >/dev/null
	@helm=$$(tests/tools/build.sh control-plane)/helm; $$helm lint --strict --quiet manifests/chart; \
		$$helm package --destination target/chart manifests/chart

.PHONY: dist
dist: ## Release archives of the plugin, checksums, SBOM and krew's manifest, in target/dist (docs/release.md). TARGETS=…
	@manifests/krew/dist.sh $(TARGETS)

.PHONY: check
check: ## Format, lints, licences, generated files, dependencies of the core
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --workspace --all-targets
	@tests/tools/core-is-pure.sh
	@diff <($(CARGO) run --quiet -p canary-core --example crds) manifests/crds.yaml || { echo "manifests/crds.yaml is stale: make manifests"; exit 1; }
	@for file in $(CHART_FILES); do cmp $$file manifests/chart/files/$${file##*/} || { echo "the chart's copy is stale: make manifests"; exit 1; }; done
	@cmp manifests/crds.yaml manifests/chart/crds/crds.yaml || { echo "the chart's copy is stale: make manifests"; exit 1; }
	@diff <($(CARGO) run --quiet -p canary-core --example policies) manifests/base/canary-policies.yaml || { echo "manifests/base/canary-policies.yaml is stale: make manifests"; exit 1; }
	@diff <($(CARGO) run --quiet -p kubectl-canary --example report-schema) docs/canary-report.schema.json || { echo "docs/canary-report.schema.json is stale: make manifests"; exit 1; }
	@if command -v cargo-deny >/dev/null; then cargo deny --log-level error check licenses bans sources; else echo "cargo-deny is not installed (cargo install cargo-deny): licences unchecked"; fi

.PHONY: manifests
manifests: ## Write the generated manifests, the chart's copies, and the schema of reports
	$(CARGO) run --quiet -p canary-core --example crds > manifests/crds.yaml
	$(CARGO) run --quiet -p canary-core --example policies > manifests/base/canary-policies.yaml
	$(CARGO) run --quiet -p kubectl-canary --example report-schema > docs/canary-report.schema.json
	@cp $(CHART_FILES) manifests/chart/files/
	@cp manifests/crds.yaml manifests/chart/crds/

.PHONY: docs
docs: programs ## Record anew the release that README.md shows: docs/demo.svg (about a minute)
	@tests/tools/build.sh control-plane >/dev/null
	@target/debug/canary-recording docs/demo.svg

.PHONY: mutants
mutants: ## Mutate the rules: no survivor without a written reason (docs/mutants.md)
	PROPTEST_CASES=$${PROPTEST_CASES:-200} $(CARGO) mutants

.PHONY: programs
programs:
	@echo "building kubectl-canary"
	@$(CARGO) build --quiet --workspace
