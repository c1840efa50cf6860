# Needs make, Go 1.26 or newer and a C compiler (DuckDB is linked in), on Linux or
# macOS. Nothing here needs root.
SHELL := /bin/sh
.DEFAULT_GOAL := help

FUZZTIME ?= 30s
BENCH ?= .

# The packages with cgo or real programs in their tests; the others are the unit
# tests of the race detector and, those of tests aside, what the programs for AWS link.
HEAVY := /(duck|cmd/tickerlake|internal/e2e|internal/bench)$$
unit = $(shell go list ./... | grep -vE '$(HEAVY)')
static = $(shell go list ./... | grep -vE '$(HEAVY)|/internal/porttest$$')

.PHONY: help run build test check lint fuzz bench e2e soak need tidy format vet race static layout

help: ## show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: build ## build, then keep a lake up on the built-in simulated market until Ctrl-C, in a folder that is thrown away
	@tools/run.sh bin/tickerlake

build: need ## build bin/tickerlake
	go build -o bin/tickerlake ./cmd/tickerlake

test: need ## all tests; those with outside clients use a .venv, made where python3 is
	@tools/venv.sh
	TICKERLAKE_PYTHON="$$(tools/venv.sh --path)" go test -timeout 60m ./...

check: need format tidy layout vet lint static race ## the gate: format, tidy, layout, vet, lint, static builds, race

lint: need ## staticcheck
	go tool -modfile=tools/go.mod staticcheck ./...

fuzz: need ## every fuzz target for FUZZTIME (30s)
	@tools/fuzz.sh $(FUZZTIME)

bench: need ## benchmarks; BENCH=regexp to choose
	go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 2h ./...

e2e: need ## the tests with real programs and clients only
	@tools/venv.sh
	TICKERLAKE_PYTHON="$$(tools/venv.sh --path)" go test -count=1 -v ./internal/e2e/... ./cmd/tickerlake/...

soak: need ## a lake on a market with all faults for ten trading days, killed at random: 16 minutes
	TICKERLAKE_SOAK_DAYS=10 go test -count=1 -v -timeout 2h -run '^TestSoak$$' ./internal/e2e

need:
	@tools/need.sh

format:
	@files="$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go'))"; \
	if [ -n "$$files" ]; then echo "not formatted (gofmt -w FILE):"; echo "$$files"; exit 1; fi

tidy:
	go mod tidy -diff

layout:
	go test -run '^TestLayout' .

vet:
	go vet ./...

static:
	CGO_ENABLED=0 go build $(static)

race:
	go test -race -short -timeout 60m $(unit)
