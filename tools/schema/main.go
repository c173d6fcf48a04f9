// Program schema writes config.schema.yaml, the JSON schema of the receiver's configuration, from its Go type, the comments on that and its defaults.
// Run it in this directory: go run .
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"

	goroutinereceiver "github.com/otelgoroutine/goroutinereceiver"
)

const root = "../.."

// durationPattern is that of what time.ParseDuration takes.
const durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`

func main() {
	if err := write("config.schema.yaml"); err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

func write(file string) error {
	if err := os.Chdir(root); err != nil { // comments are found by the path of a package below the working directory
		return err
	}
	s, err := schema()
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append([]byte("# Written by make generate.\n"), text...), 0o644)
}

// schema returns the schema as plain maps and lists.
func schema() (map[string]any, error) {
	r := jsonschema.Reflector{FieldNameTag: "mapstructure", Anonymous: true, DoNotReference: true, RequiredFromJSONSchemaTags: true, Mapper: special}
	if err := r.AddGoComments("github.com/otelgoroutine/goroutinereceiver", "."); err != nil {
		return nil, err
	}
	config := goroutinereceiver.NewFactory().CreateDefaultConfig()
	data, err := json.Marshal(r.Reflect(config))
	if err != nil {
		return nil, err
	}
	var s map[string]any
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	addDefaults(s, reflect.ValueOf(config).Elem())
	return s, nil
}

// special returns the schema of a type that is written otherwise than its Go type says.
func special(t reflect.Type) *jsonschema.Schema {
	if t == reflect.TypeFor[time.Duration]() {
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Pattern: durationPattern}, {Const: 0}}}
	}
	return nil
}

// addDefaults says of each key what it is if it is not given.
func addDefaults(s map[string]any, v reflect.Value) {
	properties, _ := s["properties"].(map[string]any)
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		key, _ := properties[name].(map[string]any)
		switch {
		case options == "squash":
			addDefaults(s, value)
		case key == nil:
		case value.Kind() == reflect.Struct:
			addDefaults(key, value)
		case value.Type() == reflect.TypeFor[time.Duration]():
			key["default"] = value.Interface().(time.Duration).String()
		case !value.IsZero() || value.Kind() == reflect.Bool:
			key["default"] = value.Interface()
		}
	}
}
