package goexe

import (
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func TestX(t *testing.T) {
	for _, v := range []string{"go1.22.12", "go1.24.13", "go1.26.8", "go1.27.4"} {
		exe := testbuild.Program(t, "hello", testbuild.Options{Version: v})
		b, err := Open(exe)
		if err != nil {
			t.Error(v, err)
			continue
		}
		t.Log(b.GoVersion, len(b.SystemStarts), len(b.WaitReasons), b.AllgLen)
		for _, s := range b.Sites {
			t.Logf("%+v", s)
		}
	}
}
