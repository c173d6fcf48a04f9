//go:build linux

package goroutinereceiver

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// TestDocumentedKeys compares the table of keys with the configuration: each key is there, and each key that is there exists.
func TestDocumentedKeys(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("docs", "configuration.md"))
	require.NoError(t, err)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(string(page), -1) {
		for key := range strings.SplitSeq(row[1], ", ") {
			documented = append(documented, strings.Trim(key, "`"))
		}
	}
	keys := append(keysOf(reflect.TypeFor[Config](), ""),
		"metrics.<name>.enabled", "metrics.<name>.attributes", "resource_attributes.<name>.enabled")
	slices.Sort(keys)
	slices.Sort(documented)
	assert.Equal(t, keys, documented)
}

// keysOf returns the keys of a part of the configuration. Of what other packages define, which has pages of its own, only the key is named.
func keysOf(t reflect.Type, prefix string) (keys []string) {
	for field := range t.Fields() {
		tag, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		own := field.Type.PkgPath() == reflect.TypeFor[Config]().PkgPath() && field.Type.Kind() == reflect.Struct
		switch {
		case tag == "metrics" || tag == "resource_attributes":
		case options == "squash" || own:
			keys = append(keys, keysOf(field.Type, strings.TrimPrefix(prefix+"."+tag, "."))...)
		case tag == "targets":
			keys = append(keys, tag)
			keys = append(keys, keysOf(field.Type.Elem(), "targets[]")...)
		case tag != "":
			keys = append(keys, strings.TrimPrefix(prefix+"."+tag, "."))
		}
	}
	return keys
}

// variable is a part of an example that the environment gives.
var variable = regexp.MustCompile(`\$\{env:\w+\}`)

// TestDocumentedExamples takes each configuration of the receiver in docs.
func TestDocumentedExamples(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join("docs", "*.md"))
	require.NoError(t, err)
	examples := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
			r, err := confmap.NewRetrievedFromYAML(variable.ReplaceAll([]byte(m[1]), []byte("10.0.0.1")))
			require.NoError(t, err, "%s: %s", page, m[1])
			conf, err := r.AsConf()
			require.NoError(t, err)
			if !conf.IsSet("receivers::goroutine") {
				continue
			}
			examples++
			receiver, err := conf.Sub("receivers::goroutine")
			require.NoError(t, err)
			c := createDefaultConfig()
			if assert.NoError(t, receiver.Unmarshal(c), "%s: %s", page, m[1]) {
				assert.NoError(t, confmap.Validate(c), "%s: %s", page, m[1])
			}
		}
	}
	assert.GreaterOrEqual(t, examples, 5)
}
