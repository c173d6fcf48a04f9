package goexe

// helpers are functions that libraries start goroutines for which do no work of the program's: they wait for the end of a context or a
// connection, or carry what the goroutine that created them reads and writes. None is known to start a goroutine that does.
var helpers = map[string]bool{
	// net/http: server.go, transport.go, client.go
	"net/http.(*connReader).backgroundRead": true,
	"net/http.(*persistConn).readLoop":      true,
	"net/http.(*persistConn).writeLoop":     true,
	"net/http.setRequestCancel.func4":       true,
	// HTTP/2: net/http, h2_bundle.go; golang.org/x/net/http2, server.go
	"net/http.(*http2serverConn).writeFrameAsync":           true,
	"golang.org/x/net/http2.(*serverConn).writeFrameAsync":  true,
	"net/http/internal/http2.(*serverConn).writeFrameAsync": true,
	// context: context.go
	"context.(*cancelCtx).propagateCancel.func2": true,
	// database/sql: sql.go
	"database/sql.(*DB).connectionOpener":  true,
	"database/sql.(*DB).connectionCleaner": true,
	"database/sql.(*Tx).awaitDone":         true,
	"database/sql.(*Rows).awaitDone":       true,
	// net: fd_unix.go
	"net.(*netFD).connect.func2": true,
	// os/exec: exec.go
	"os/exec.(*Cmd).watchCtx.func1": true,
	// os/signal: signal_unix.go
	"os/signal.loop": true,
}
