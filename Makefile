TOOL = go tool -modfile=tools/go.mod
COLLECTOR = bin/otelcol-goroutine
SOURCES = $(shell find . -path ./build -prune -o \( -name '*.go' -o -name '*.o' -o -name '*.json' \) -print) go.mod builder-config.yaml

.PHONY: build demo test test-matrix lint generate clean

build: $(COLLECTOR)

# ocb writes the distribution's main package; --skip-compilation leaves the build to go, which knows what is up to date.
$(COLLECTOR): $(SOURCES)
	mkdir -p build bin
	$(TOOL) builder --config builder-config.yaml --skip-compilation
	cd build/otelcol-goroutine && go build -trimpath -ldflags '-s -w' -o ../../$(COLLECTOR) .

demo: build
	go run ./testdata/demo

test: build
	go test -count=1 -timeout 30m ./...

lint:
	test -z "$$($(TOOL) gofumpt -l $$(git ls-files '*.go' | grep -v generated_))" || { $(TOOL) gofumpt -d $$(git ls-files '*.go' | grep -v generated_); false; }
	go vet ./...
	$(TOOL) staticcheck ./...

generate:
	go generate ./...

clean:
	rm -rf bin build
