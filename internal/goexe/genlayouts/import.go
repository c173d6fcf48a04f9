package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// importMeasured reads a file of layouts that were measured elsewhere, one a release and architecture. The architectures must
// agree, or the table could not do without them.
func importMeasured(path string) ([]goexe.Layout, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var measured []struct {
		GoVersion   string
		GSize       uint16 `json:"g_size"`
		G           goexe.Offsets
		M           goexe.Offsets
		Moduledata  goexe.Offsets
		Sudog       goexe.Offsets
		Hchan       goexe.Offsets
		Status      map[string]int
		WaitReasons []string
	}
	if err := json.Unmarshal(b, &measured); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var ls []goexe.Layout
	for _, x := range measured {
		status := map[string]uint8{}
		for name, value := range x.Status {
			if name != "Gscan" {
				status[name] = uint8(value)
			}
		}
		l, err := goexe.NewLayout(x.GoVersion, x.GSize, x.G, x.M, x.Moduledata, x.Sudog, x.Hchan, status, x.WaitReasons)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, x.GoVersion, err)
		}
		if n := len(ls); n > 0 && ls[n-1].GoVersion == l.GoVersion {
			if fmt.Sprint(ls[n-1]) != fmt.Sprint(*l) {
				return nil, fmt.Errorf("%s: %s differs between architectures", path, l.GoVersion)
			}
			continue
		}
		ls = append(ls, *l)
	}
	return ls, nil
}
