# Everything that a person or CI runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO    ?= go
RACE  := GORACE="halt_on_error=1 suppressions=$(CURDIR)/bgp/gobgp/testdata/race.supp"
STEP   = @printf '\n\033[1m==> %s\033[0m\n' "$(1)"
# Debian packages: the compilers for race tests and runc, and what a cluster in namespaces is made of.
DEBS  := gcc libc6-dev libseccomp-dev pkg-config containerd containernetworking-plugins frr bird2 iproute2 \
         nftables iputils-arping iputils-ping ndisc6 tcpdump curl procps

.PHONY: help deps deps-race deps-lab format lint unit netns e2e test bench soak demo demo-down image clean

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

deps:
	@$(GO) version >/dev/null 2>&1 || { echo "Go 1.26 or newer is needed: https://go.dev/dl/"; exit 1; }

deps-race: deps
	@command -v gcc >/dev/null || { echo "gcc is needed for the race detector: apt-get install gcc libc6-dev"; exit 1; }

deps-lab: deps
	@[ "$$(id -u)" = 0 ] || { echo "this needs root, to make network namespaces: sudo make $(MAKECMDGOALS)"; exit 1; }
	@missing=; for p in $(DEBS); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing+=" $$p"; done; \
	if [ -n "$$missing" ]; then echo "Installing Debian packages:$$missing"; \
	  apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; fi

format: deps
	$(call STEP,format)
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "not formatted (run gofmt -w):"; echo "$$bad"; exit 1; }

lint: deps ## static checks: go vet and golangci-lint, all modules
	$(call STEP,vet and lint (the linter is compiled the first time: some minutes))
	@$(GO) vet ./...
	@cd lab && $(GO) vet ./...
	@linter=$$(cd tools && $(GO) tool -n golangci-lint); $$linter run ./... && cd lab && $$linter run --config ../.golangci.yaml ./...

unit: deps-race ## tests that need neither root nor a network, about a minute
	$(call STEP,unit tests)
	@$(RACE) $(GO) test -race -short ./...
	@cd lab && $(GO) test -short ./...

netns: deps-lab ## tests against real routers and neighbours, in network namespaces of their own (root)
	$(call STEP,tests in network namespaces)
	@$(RACE) $(GO) test -race -count=1 -run Netns ./...

e2e: deps-lab ## end-to-end tests on a real Kubernetes cluster in network namespaces (root)
	$(call STEP,end-to-end tests (Kubernetes is compiled the first time: about ten minutes))
	@cd lab && $(GO) test -p 1 -count=1 -timeout 45m -v -run 'E2E|Lab' ./...

# The last two wait more than they compute: they run side by side.
test: deps-lab format lint unit ## everything that CI checks (root)
	@$(MAKE) --no-print-directory -j2 netns e2e
	$(call STEP,all checks passed)

bench: deps-lab ## measure, and print the figures: some hours (root)
	@$(GO) test -count=1 -timeout 30m -run '^$$' -bench . -benchtime 1x -p 1 ./bgp/gobgp ./layer2/rawsock ./announce/members ./kube/speaker ./cmd/speaker
	@cd lab && $(GO) test -count=1 -timeout 120m -run '^$$' -bench . -benchtime 1x -p 1 ./e2e ./chaos

soak: deps-lab ## an hour (MINUTES=60) of busy cores, lost packets, stopped speakers: no false take-over (root)
	@$(GO) test -count=1 -timeout 0 -v -run '^TestSoak$$' ./announce/members -soak $(or $(MINUTES),60)m

demo: deps-lab ## a cluster, the chart, a Service, and a client's answer through its EXTERNAL-IP (root)
	@mkdir -p build && cd lab && $(GO) build -o ../build/lab ./cmd/lab && $(GO) run ./cmd/demo

demo-down: ## stop what the demo left running
	@cd lab && $(GO) run ./cmd/lab down

image: deps ## build the image as build/network-lb.tar
	@mkdir -p build && cd lab && $(GO) run ./cmd/image -o ../build/network-lb.tar

clean: ## remove what was built here (the lab's binaries stay in the user's cache folder)
	rm -rf build
