TOOL = go tool -modfile=tools/go.mod
COLLECTOR = bin/otelcol-goroutine
SOURCES = $(shell find . -path ./build -prune -o \( -name '*.go' -o -name '*.o' -o -name '*.json' \) -print) go.mod builder-config.yaml

.PHONY: build demo test test-unit test-matrix bench fuzz lint generate clean

build: $(COLLECTOR)

# ocb writes the distribution's main package; --skip-compilation leaves the build to go, which knows what is up to date.
$(COLLECTOR): $(SOURCES)
	mkdir -p build bin
	$(TOOL) builder --config builder-config.yaml --skip-compilation
	cd build/otelcol-goroutine && go build -ldflags '-s -w' -o ../../$(COLLECTOR) .

demo: build
	go run ./testdata/demo

# Nothing else runs beside the tests of the whole collector: they look at times, and at all that the kernel has attached.
test: build
	go test -count=1 -timeout 30m $$(go list ./... | grep -v '/test$$')
	go test -count=1 -timeout 30m ./test

# What needs no privilege and no collector, in under a minute once programs are built: RequireRoot leaves out all else.
test-unit:
	go test -short -count=1 -timeout 10m $$(go list ./... | grep -v '/test$$')

# Programs of all releases of Go, built in all ways; it keeps docs/matrix.md.
test-matrix: build
	go test -v -count=1 -timeout 50m -tags matrix -run "^(TestMatrix|TestPrograms|TestKernels)$$" ./test

# The figures of docs/performance.md. The programs that are compared need wrk and bpftrace.
bench: build
	go test -run '^$$' -bench 'Open|Read' ./internal/goexe ./internal/snapshot
	go test -run '^$$' -bench Target -benchtime 15x ./internal/snapshot
	go test -run '^$$' -bench Scrape -benchtime 10x ./internal/engine/uprobe
	go test -run '^$$' -bench Events ./internal/telemetry
	go run ./internal/bench -rounds 5 -seconds 1
	go run ./internal/bench -rounds 5 -seconds 1 -release go1.20.14 -targets pingpong -cases "nothing,empty uprobe,empty at entry,first version,metrics"

# What reads other people's files and memory must stand lies.
FUZZTIME = 20s
fuzz:
	go test -run '^$$' -fuzz '^FuzzAnalyse$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/goexe
	go test -run '^$$' -fuzz '^FuzzDebugInfo$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/goexe
	go test -run '^$$' -fuzz '^FuzzLayout$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/goexe
	go test -run '^$$' -fuzz '^FuzzPatches$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/goexe
	go test -run '^$$' -fuzz '^FuzzReader$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/engine/trampoline/ring
	go test -run '^$$' -fuzz '^FuzzTable$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/pclntab
	go test -run '^$$' -fuzz '^FuzzStringsAreUTF8$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./internal/telemetry

lint:
	test -z "$$($(TOOL) gofumpt -l $$(git ls-files '*.go' | grep -v -e generated_ -e _bpfel))" || { $(TOOL) gofumpt -d $$(git ls-files '*.go' | grep -v -e generated_ -e _bpfel); false; }
	go vet -tags matrix ./...
	for os in darwin windows; do GOOS=$$os CGO_ENABLED=0 go vet -tags matrix ./... || exit 1; done # a distribution is built for all systems
	$(TOOL) staticcheck -tags matrix ./...

generate:
	go generate ./...

clean:
	rm -rf bin build
