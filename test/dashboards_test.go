//go:build linux && packaging

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestDashboards asks a Prometheus, which is filled by a server under load and its collector, every query of the dashboards and of the
// alert rules. Prometheus itself reads the rules, too: it would not start with one that is wrong.
func TestDashboards(t *testing.T) {
	testbuild.RequireRoot(t)
	dir := filepath.Join(testbuild.Root(), "deploy", "dashboards")
	own := e2etest.Address(t)
	db := startPrometheusWith(t, fmt.Sprintf(`
rule_files: [%q]
scrape_configs:
  - {job_name: collectors, scrape_interval: 1s, static_configs: [{targets: [%q]}]}
`, filepath.Join(dir, "alerts.yaml"), own))
	exe := testbuild.Program(t, "server", testbuild.Options{})
	config := db.config(exe)
	config.Export("debug", e2etest.Settings{}, "traces") // without, no stacks are read
	receiver := e2etest.Following(exe)
	receiver.Overhead = &e2etest.Overhead{Budget: 1, Floor: new(1.0), Host: new(0.0)} // levels are shown, too, and nothing is left out
	receiver.Blocked = e2etest.Settings{"threshold": "1s"}
	config.Receivers["goroutine"] = receiver
	if err := config.ServeOwnMetrics(own); err != nil {
		t.Fatal(err)
	}
	c := e2etest.StartCollector(t, config)
	p := testbuild.Start(t, exe)
	testbuild.LimitCPU(t, p.PID(), 8) // more than it takes, but there are periods
	address := p.Line()
	c.Await("Following process")
	started := time.Now()
	serve := func() {
		for _, path := range []string{"/fanout", "/cache"} {
			e2etest.Load(t, "http://"+address+path, 20)
		}
	}
	e2etest.Load(t, "http://"+address+"/leak", 3)
	for name, query := range queries(t, dir) {
		e2etest.Eventually(t, "an answer to "+name, func() bool { serve(); return db.answers(query) }, func() string { return query })
	}
	t.Logf("all had answers after %v", time.Since(started).Round(time.Second))
}

// queries returns what the dashboards and the rules ask, by their names. Of a rule it is what is compared with the threshold.
func queries(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"service", "fleet"} {
		var d struct{ Panels []panel }
		readJSON(t, filepath.Join(dir, name+".json"), &d)
		for _, p := range d.Panels {
			p.gather(name, all)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(data, &rules); err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules.Groups[0].Rules {
		all[rule.Alert] = rule.Expr[:strings.LastIndex(rule.Expr, " > ")]
	}
	if len(all) < 20 {
		t.Fatalf("there are only %d queries", len(all))
	}
	return all
}

// panel is what is asked by a panel, or by those of a row.
type panel struct {
	Title   string
	Targets []struct{ Expr string }
	Panels  []panel
}

func (p panel) gather(dashboard string, all map[string]string) {
	variables := strings.NewReplacer("$job", "server", "$instance", ".*", "$__rate_interval", "30s")
	for _, target := range p.Targets {
		all[dashboard+": "+p.Title] = variables.Replace(target.Expr)
	}
	for _, below := range p.Panels {
		below.gather(dashboard, all)
	}
}

// answers tells whether a query has a value that is a number.
func (p prometheus) answers(promQL string) bool {
	p.t.Helper()
	return slices.ContainsFunc(p.values(promQL), func(v string) bool { return v != "NaN" })
}
