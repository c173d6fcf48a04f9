package goexe

// registerArguments are the releases from which on functions take their arguments in registers, by GOARCH
// (cmd/compile/internal/ssagen/abi.go; release notes of Go 1.17 and 1.18).
var registerArguments = map[string]string{"amd64": "go1.17", "arm64": "go1.18"}
