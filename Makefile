TOOL = go tool -modfile=tools/go.mod
COLLECTOR = bin/otelcol-goroutine
# The version is the last tag's, with the number of commits since then, if any.
VERSION ?= $(patsubst v%,%,$(or $(shell git describe --tags --match 'v*' 2>/dev/null),v0.0.0-dev))
BUILD = CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'
ARCHITECTURES = amd64 arm64
SOURCES = $(shell find . \( -path ./build -o -path ./packaging -o -path ./deploy -o -path ./tools \) -prune -o \( -name '*.go' -o -name '*.o' -o -name '*.json' \) -print) go.mod builder-config.yaml builder-config-full.yaml

.PHONY: build build-full demo dist deb image test test-unit test-matrix test-arm64 test-kill soak bench bench-servers fuzz lint generate clean
.PHONY: test-dist test-deb test-image test-kubernetes test-kubernetes-full test-dashboards test-picture test-stranger

build: $(COLLECTOR)

build-full: $(COLLECTOR)-full

# ocb writes a distribution's main package; --skip-compilation leaves the build to go, which knows what is up to date.
bin/otelcol-goroutine: CONFIG = builder-config.yaml
bin/otelcol-goroutine-full: CONFIG = builder-config-full.yaml
bin/otelcol-goroutine bin/otelcol-goroutine-full: $(SOURCES)
	mkdir -p build bin
	env 'dist.version=$(VERSION)' $(TOOL) builder --config $(CONFIG) --skip-compilation
	cd build/$(@F) && $(BUILD) -o ../../$@ .

# What a release offers: DISTRIBUTION=otelcol-goroutine-full makes that of the full one.
DISTRIBUTION = otelcol-goroutine
EXECUTABLES = $(ARCHITECTURES:%=build/dist/$(DISTRIBUTION)_linux_%)

dist: $(EXECUTABLES)
	mkdir -p dist
	go run -C packaging ./dist -version $(VERSION) -out $(CURDIR)/dist -modules $(CURDIR)/build/$(DISTRIBUTION) \
		-files $(CURDIR)/LICENSE,$(CURDIR)/README.md,$(CURDIR)/packaging/config.yaml $(abspath $(EXECUTABLES))

	$(SUMS)

SUMS = cd dist && rm -f SHA256SUMS && sha256sum * >../build/dist/SHA256SUMS && mv ../build/dist/SHA256SUMS .

deb: dist
	for arch in $(ARCHITECTURES); do \
		exe=$(CURDIR)/build/dist/otelcol-goroutine_linux_$$arch; \
		go run -C packaging ./deb -version $(VERSION) -arch $$arch -exe $$exe -licenses $$exe.licenses.txt -sources $(CURDIR) -out $(CURDIR)/dist || exit 1; \
	done
	$(SUMS)

# An OCI layout in build/image, of the distribution that DISTRIBUTION names; the certificates are those of this machine.
CERTIFICATES = /etc/ssl/certs/ca-certificates.crt

image: $(EXECUTABLES)
	mkdir -p build/image
	go run -C packaging ./image -version $(VERSION) -out $(CURDIR)/build/image/$(DISTRIBUTION) -config $(CURDIR)/packaging/config.yaml \
		-certificates $(CERTIFICATES) $(abspath $(EXECUTABLES))

build/dist/$(DISTRIBUTION)_linux_%: bin/$(DISTRIBUTION)
	cd build/$(DISTRIBUTION) && GOOS=linux GOARCH=$* $(BUILD) -o ../../$@ .

# HTML=FILE writes a page that shows the same in a browser.
demo: build
	go run ./testdata/demo $(if $(HTML),-html $(HTML))

# Nothing else runs beside the tests of the whole collector: they look at times, and at all that the kernel has attached.
test: build
	go test -count=1 -timeout 30m $$(go list ./... | grep -v '/test$$\|/internal/engine/')
	go test -p 1 -count=1 -timeout 30m ./internal/engine/... # one after the other: they stop threads and wait for the kernel to have no user of a probe
	go test -count=1 -timeout 30m ./test
	go test -C tools/schema -count=1

# What needs no privilege and no collector, in under a minute once programs are built: RequireRoot leaves out all else.
test-unit:
	go test -short -count=1 -timeout 10m $$(go list ./... | grep -v '/test$$')

test-dist: dist
	VERSION=$(VERSION) ARCHITECTURES='$(ARCHITECTURES)' go test -C packaging -count=1 ./...

# systemd installs, starts and removes the package in a copy of this machine's root that goes away with the test.
test-deb: deb
	VERSION=$(VERSION) go test -v -count=1 -tags packaging -run '^TestDeb' ./test

# A container runtime runs the image beside another container, whose program it follows.
test-image: image
	go test -v -count=1 -tags packaging -run '^TestImage' ./test

# The manifests against the API's types; -full has the full collector check the configurations in them, too.
test-kubernetes:
	go test -C deploy/kubernetes -count=1 ./...

test-kubernetes-full: build-full
	go test -C deploy/kubernetes -count=1 -tags full ./...

# A browser shows the demo's page; SCREENSHOT=FILE keeps what it shows.
test-picture:
	go test -v -count=1 -tags packaging ./testdata/demo

# What a stranger does: every command of docs/first-steps.md and README.md, in a clone of the last commit, with the ports that they name.
test-stranger:
	go test -v -count=1 -timeout 60m -tags packaging -run '^TestStranger$$' ./test

# Every query of the dashboards and the alert rules, against a Prometheus.
test-dashboards: build
	go test -v -count=1 -timeout 20m -tags packaging -run '^TestDashboards' ./test

# Programs of all releases of Go, built in all ways; it keeps docs/matrix.md.
test-matrix: build
	go test -count=1 -timeout 50m -tags matrix -run "^(TestMatrix|TestPrograms|TestKernels)$$" ./test

# Trampolines in programs of an emulated arm64 machine.
test-arm64:
	go test -v -count=1 -timeout 40m -tags matrix -run '^TestTrampolinesOnARM64$$' ./test

# A collector that dies while it puts trampolines into a program, or takes them away, must not harm that: so often it is killed, in all its steps.
KILLINGS = 1000
test-kill:
	INJECT_KILLINGS=$(KILLINGS) go test -v -count=1 -timeout 60m -run '^TestKill$$' ./internal/engine/trampoline/inject

# Trampolines come and go for so long in programs that do all a runtime can do, of six releases.
SOAK = 20m
soak:
	mkdir -p build
	INJECT_SOAK=$(SOAK) go test -v -count=1 -timeout 120m -run '^TestSoak$$' ./internal/engine/trampoline/inject | tee build/soak.log

# The figures of docs/performance.md. The programs that are compared need wrk and bpftrace.
bench: build
	go test -run '^$$' -bench 'Open|Read' ./internal/goexe ./internal/snapshot
	go test -run '^$$' -bench Target -benchtime 15x ./internal/snapshot
	go test -run '^$$' -bench Scrape -benchtime 10x ./internal/engine/uprobe
	go test -run '^$$' -bench Events ./internal/telemetry
	go test -run '^$$' -bench . ./internal/engine/trampoline/ring
	go run ./internal/bench -rounds 5 -seconds 1
	go run ./internal/bench -rounds 5 -seconds 1 -release go1.20.14 -targets pingpong -cases "nothing,empty uprobe,empty at entry,first version,metrics"

# Servers that people run, under load: some fifteen minutes, and as many more to build them the first time.
ROUNDS = 3
SECONDS = 8
SERVERS = caddy,etcd,nats,coredns,prometheus
bench-servers: build
	go run ./internal/bench -servers $(SERVERS) -rounds $(ROUNDS) -seconds $(SECONDS)
	go run ./internal/bench -servers caddy,etcd,nats,coredns -traces -seconds 20

# What reads other people's files and memory must stand lies. Each takes some 20 s. They end by number, as go test may call it a failure to be
# interrupted by time.
fuzz:
	go test -run '^$$' -fuzz '^FuzzAnalyse$$' -fuzztime 5000x -fuzzminimizetime 10x ./internal/goexe
	go test -run '^$$' -fuzz '^FuzzDebugInfo$$' -fuzztime 2000x -fuzzminimizetime 10x ./internal/goexe
	go test -run '^$$' -fuzz '^FuzzLayout$$' -fuzztime 100000x -fuzzminimizetime 10x ./internal/goexe
	go test -run '^$$' -fuzz '^FuzzPatches$$' -fuzztime 3000x -fuzzminimizetime 10x ./internal/goexe
	go test -run '^$$' -fuzz '^FuzzReader$$' -fuzztime 80000x -fuzzminimizetime 10x ./internal/engine/trampoline/ring
	go test -run '^$$' -fuzz '^FuzzTable$$' -fuzztime 10000x -fuzzminimizetime 10x ./internal/pclntab
	go test -run '^$$' -fuzz '^FuzzStringsAreUTF8$$' -fuzztime 10000x -fuzzminimizetime 10x ./internal/telemetry

lint:
	test -z "$$($(TOOL) gofumpt -l $$(git ls-files '*.go' | grep -v -e generated_ -e _bpfel))" || { $(TOOL) gofumpt -d $$(git ls-files '*.go' | grep -v -e generated_ -e _bpfel); false; }
	go vet -tags matrix,packaging ./...
	for os in darwin windows; do GOOS=$$os CGO_ENABLED=0 go vet -tags matrix,packaging ./... || exit 1; done # a distribution is built for all systems
	$(TOOL) staticcheck -tags matrix,packaging ./...
	cd packaging && go vet ./... && go tool -modfile=../tools/go.mod staticcheck ./...
	cd tools/schema && go vet && go tool -modfile=../go.mod staticcheck
	cd deploy/dashboards && go vet ./... && go tool -modfile=../../tools/go.mod staticcheck -checks inherit,-SA1019 ./... # Grafana of all versions takes its older format
	cd deploy/kubernetes && go vet -tags full ./... && go tool -modfile=../../tools/go.mod staticcheck -tags full ./...

generate:
	go generate ./...
	cd deploy/dashboards && go run .
	cd tools/schema && go run .

clean:
	rm -rf bin build dist
