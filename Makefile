# Everything is built with the Go toolchain from modules; nothing is installed.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .bin
# What the build calls itself: the tag of a release, or where after it we are.
VERSION ?= $(shell git describe --tags --match='v[0-9]*' --dirty 2>/dev/null || echo v0.0.0-$$(git rev-parse --short HEAD 2>/dev/null || echo devel))
STAMP := -X github.com/portolan-dev/portolan/pkg/version.release
KUBERNETES := v1.36.3
KUBERNETES_BUILD := go build -C hack/kubernetes -ldflags "-X k8s.io/component-base/version.gitVersion=$(KUBERNETES)"

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use

.PHONY: run
run: build ## Serve on an embedded etcd in ./portolan-data and say what to type next
	$(BIN)/portolan serve

.PHONY: build
build: ## Build .bin/portolan
	@mkdir -p $(BIN)
	hack/build.sh ./cmd/portolan -ldflags "$(STAMP)=$(VERSION)" -o $(BIN)/portolan

PLATFORMS := linux/amd64,linux/arm64
PUSH :=

# What is pushed under a tag that names a release calls itself that release.
image: VERSION := $(or $(filter v%,$(word 2,$(subst :, ,$(notdir $(PUSH))))),$(VERSION))
.PHONY: image
image: ## Build the container image into .bin/image; PUSH=registry.example/portolan:v1 pushes it too
	@mkdir -p $(BIN)
	go run -C hack/image . --source=$(CURDIR) --out=$(abspath $(BIN)/image) --version=$(VERSION) --platforms=$(PLATFORMS) --push=$(PUSH)

##@ Change

.PHONY: update
update: ## Generate code and API descriptions from the types in apis/
	hack/update-codegen.sh

.PHONY: verify
verify: verify-lint verify-modules verify-codegen ## Fail on what is stale, unformatted or suspicious

# Modules of Go code that golangci-lint loads in seconds.
LINTED := . hack/image test/ecosystem/browser test/ecosystem/certmanager test/ecosystem/gatewayapi

.PHONY: verify-lint
verify-lint: $(BIN)/golangci-lint
	$(BIN)/golangci-lint fmt --diff
	@for module in $(LINTED); do (cd $$module && $(abspath $(BIN))/golangci-lint run --config=$(CURDIR)/.golangci.yaml ./...); done

.PHONY: verify-modules
verify-modules:
	@for module in $$(git ls-files '*go.mod'); do go mod tidy -C $$(dirname $$module) -diff; done
	go mod verify

.PHONY: verify-codegen
verify-codegen:
	hack/verify-codegen.sh

##@ Test

# Many tests wait for a server, so twice as many packages run at once as there are cores.
# The longest ones come first, so that none of them runs alone at the end. Modules of their
# own run beside them. make verify vets all packages. Servers have memory to spare, and
# collect garbage seldom.
PACKAGES := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
LONGEST := ./test/integration/api ./test/integration/operation ./test/chaos/kill ./test/integration/hostile ./test/ecosystem/kubectl ./pkg/storage

.PHONY: test
test: $(BIN)/kubectl $(BIN)/kubectl-oldest $(BIN)/helm build ## Test everything that needs no cluster
	@go test -C hack/image -vet=off ./... & image=$$!; \
	go test -C test/ecosystem/certmanager -vet=off -count=1 ./... & certmanager=$$!; \
	failed=0; \
	GOGC=$${GOGC:-400} go test -p $(PACKAGES) -vet=off $(LONGEST) ./... || failed=1; \
	wait $$image || failed=1; \
	wait $$certmanager || failed=1; \
	exit $$failed

FUZZ_TIME := 10m

.PHONY: fuzz
fuzz: ## Fuzz every target, one after the other; FUZZ_TIME=10m is for how long each
	@grep -rho --include='*_test.go' -H '^func Fuzz[A-Za-z]*' apis pkg | sed 's/:func / /' | while read -r file target; do \
		echo "$$target in $$(dirname $$file)"; \
		go test ./$$(dirname $$file) -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZ_TIME) -fuzzminimizetime=5s; \
	done

FAMILIES := integration differential ecosystem cluster chaos
E2E := $(FAMILIES:%=e2e-%)
E2E_PROGRAMS := kube-apiserver kube-controller-manager kube-proxy nft etcd etcdctl etcdutl kubectl coredns traefik

.PHONY: e2e
e2e: $(E2E) e2e-image e2e-browser e2e-gatewayapi ## Test beside a real kube-apiserver; make e2e-chaos runs only that folder of test/

.PHONY: $(E2E)
$(E2E): e2e-%: $(E2E_PROGRAMS:%=$(BIN)/%)
	hack/e2e.sh $* $(E2E_FLAGS)

# Tests of kube-proxy are skipped where there is no nftables, and say so.
e2e-ecosystem: E2E_FLAGS := -v

# Faults are timed: nothing runs beside them, which would save little.
e2e-chaos: E2E_FLAGS := -p=1

.PHONY: e2e-image
e2e-image:
	go test -C hack/image -tags=e2e -count=1 -timeout=30m -run='^TestPortolan$$' ./...

# Skipped where there is no chromium, and says so.
.PHONY: e2e-browser
e2e-browser: $(BIN)/kubectl build
	go test -C test/ecosystem/browser -tags=e2e -count=1 -timeout=30m -v ./...

.PHONY: e2e-gatewayapi
e2e-gatewayapi: $(BIN)/kubectl
	go test -C test/ecosystem/gatewayapi -count=1 -timeout=30m ./...

SOAK_TIME := 30m
SOAK_KILLS := 10000

.PHONY: soak
soak: $(BIN)/etcd build ## Kill servers SOAK_KILLS=10000 times (hours), then break a cluster for SOAK_TIME=30m
	PORTOLAN_KILLS=$(SOAK_KILLS) PORTOLAN_TEST_PROGRAM=$(abspath $(BIN)/portolan) go test -count=1 -timeout=0 -v -run='^TestKillEmbedded$$' ./test/chaos/kill
	PORTOLAN_SOAK=$(SOAK_TIME) go test -tags=e2e -count=1 -timeout=0 -v -run='^TestSoak$$' ./test/chaos/failover

.PHONY: bench
bench: ## Measure beside a real kube-apiserver, in one run; BENCH_FLAGS=--help tells what can be set
	go run ./test/bench $(BENCH_FLAGS)

.PHONY: bench-layers
bench-layers: ## Compare the Go benchmarks of the layers with the last release; BASE=commit names another one
	hack/bench-layers.sh $(BASE)

.PHONY: bench-controllers
bench-controllers: $(BIN)/kube-apiserver $(BIN)/kube-controller-manager $(BIN)/etcd ## Measure how soon a Pod that turns ready is in a slice, of 5,000 Pods
	go test -tags=e2e -run='^$$' -bench=Readiness -benchtime=50x -timeout=60m ./test/differential/controllers

.PHONY: bench-gateway
bench-gateway: $(BIN)/kube-apiserver $(BIN)/etcd ## Measure what a gateway adds to gets, lists of 5,000 Pods and 500 watches
	go test -tags=e2e -run='^$$' -bench=Gateway -benchtime=1x -timeout=30m -v ./test/cluster/delegation

.PHONY: bench-pools
bench-pools: $(BIN)/kube-apiserver $(BIN)/etcd $(BIN)/kubectl $(BIN)/metallb-controller ## Measure load-balancer pools beside MetalLB on kube-apiserver
	go test -tags=e2e -run='^$$' -bench=Pools -benchtime=1x -timeout=30m -v ./test/differential/controllers

# The programs of a Kubernetes release, from its module.

$(BIN)/kubectl: hack/kubernetes/go.mod
	@mkdir -p $(BIN)
	@echo "building kubectl from its module; this takes a minute the first time"
	$(KUBERNETES_BUILD) -o $(abspath $@) k8s.io/kubernetes/cmd/kubectl

$(BIN)/kubectl-oldest: hack/kubectl-oldest/go.mod hack/kubectl-oldest/main.go
	@mkdir -p $(BIN)
	@echo "building the oldest kubectl that is supported; this takes a minute the first time"
	go build -C hack/kubectl-oldest -o $(abspath $@) .

$(BIN)/kube-apiserver: hack/kubernetes/go.mod
	@mkdir -p $(BIN)
	@echo "building kube-apiserver from its module; this takes six minutes the first time"
	$(KUBERNETES_BUILD) -o $(abspath $@) k8s.io/kubernetes/cmd/kube-apiserver

$(BIN)/kube-controller-manager: hack/kubernetes/go.mod
	@mkdir -p $(BIN)
	@echo "building kube-controller-manager from its module; this takes minutes the first time"
	$(KUBERNETES_BUILD) -o $(abspath $@) k8s.io/kubernetes/cmd/kube-controller-manager

$(BIN)/kube-proxy: hack/kubernetes/go.mod
	@mkdir -p $(BIN)
	@echo "building kube-proxy from its module; this takes minutes the first time"
	$(KUBERNETES_BUILD) -o $(abspath $@) k8s.io/kubernetes/cmd/kube-proxy

$(BIN)/nft: hack/nft.sh
	@mkdir -p $(BIN)
	hack/nft.sh $@

$(BIN)/etcd: hack/kubernetes/go.mod
	@mkdir -p $(BIN)
	go build -C hack/kubernetes -o $(abspath $@) go.etcd.io/etcd/server/v3

$(BIN)/etcdctl $(BIN)/etcdutl: $(BIN)/%: hack/etcd/go.mod
	@mkdir -p $(BIN)
	go build -C hack/etcd -o $(abspath $@) go.etcd.io/etcd/$*/v3

$(BIN)/coredns: hack/coredns/go.mod
	@mkdir -p $(BIN)
	@echo "building coredns from its module; this takes minutes the first time"
	go build -C hack/coredns -o $(abspath $@) github.com/coredns/coredns

$(BIN)/traefik: hack/traefik/go.mod
	@mkdir -p $(BIN)
	@echo "building traefik from its module; this takes five minutes the first time"
	go build -C hack/traefik -ldflags '-s -w' -o $(abspath $@) github.com/traefik/traefik/v3/cmd/traefik

$(BIN)/metallb-controller: hack/metallb/go.mod
	@mkdir -p $(BIN)
	@echo "building MetalLB's controller from its module; this takes minutes the first time"
	go build -C hack/metallb -o $(abspath $@) go.universe.tf/metallb/controller

$(BIN)/golangci-lint: hack/golangci/go.mod
	@mkdir -p $(BIN)
	@echo "building golangci-lint from its module; this takes two minutes the first time"
	go build -C hack/golangci -o $(abspath $@) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BIN)/helm: hack/helm/go.mod
	@mkdir -p $(BIN)
	@echo "building helm from its module; this takes a minute the first time"
	go build -C hack/helm -o $(abspath $@) helm.sh/helm/v4/cmd/helm

.PHONY: clean
clean: ## Remove what was built; ./portolan-data stays
	rm -rf $(BIN)
