package goexe

import "testing"

func TestOwnFunctions(t *testing.T) {
	m := Modules{Main: "example.com/shop/v2", Dependencies: []string{"example.com/shop/v2/internal/vendored", "golang.org/x/sync", "example.com"}}
	for function, want := range map[string]bool{
		"main.main":                     true,
		"main.(*server).handle.func1.2": true,
		"example.com/shop/v2.Open":      true,
		"example.com/shop/v2/store.Put": true,
		"example.com/shop/v2/store.Map[go.shape.interface { golang.org/x/sync.Do() }].Put": true,
		"example.com/shop/v2/store%2ego.Put":                                               true,
		"example.com/shop/v2/internal/vendored.Run":                                        false,
		"example.com/shop/v2/internal/vendored/sub.Run":                                    false,
		"example.com/shop/v20.Open":                                                        false,
		"example.com/shop.Open":                                                            false,
		"golang.org/x/sync/errgroup.(*Group).Go":                                           false,
		"slices.SortFunc[go.shape.[]main.item]":                                            false,
		"net/http.(*Server).Serve":                                                         false,
		"runtime.main":                                                                     false,
		"maintenance.Run":                                                                  false,
		"":                                                                                 false,
	} {
		if got := m.Own(function); got != want {
			t.Errorf("%s: %v", function, got)
		}
	}
	if unknown := (Modules{}); !unknown.Own("main.main") || unknown.Own("fmt.Println") || unknown.Own("example.com/shop.Open") {
		t.Error("without a main module, only the main package is the program's own")
	}
}
