package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// TestSchema has the schema that is committed take what the documentation shows, and refuse what the collector refuses.
func TestSchema(t *testing.T) {
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config", parse(t, read(t, "config.schema.yaml"))); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("config")
	if err != nil {
		t.Fatal(err)
	}
	configurations := parse(t, read(t, "testdata/config.yaml"))
	if err := s.Validate(configurations["goroutine/all"]); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"unknown", "interval_without_unit", "threshold_without_unit", "retry_without_unit"} {
		if s.Validate(configurations["goroutine/"+name]) == nil {
			t.Errorf("it takes goroutine/%s", name)
		}
	}
	examples := regexp.MustCompile("(?s)```yaml\n(receivers:.*?)```").FindAllSubmatch(read(t, "docs/configuration.md"), -1)
	if len(examples) < 5 {
		t.Fatalf("only %d examples are documented", len(examples))
	}
	for _, example := range examples {
		receivers := parse(t, example[1])["receivers"].(map[string]any)
		if err := s.Validate(receivers["goroutine"]); err != nil {
			t.Errorf("%s: %v", example[1], err)
		}
	}
}

// TestSchemaIsTheSame: the library reads the files of a package in any order, so that two types of one name would give either's comment.
func TestSchemaIsTheSame(t *testing.T) {
	t.Chdir(root)
	first, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := schema()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again, first) {
			t.Fatalf("descriptions differ: %q, before %q", again["description"], first["description"])
		}
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t *testing.T, text []byte) (parsed map[string]any) {
	t.Helper()
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}
