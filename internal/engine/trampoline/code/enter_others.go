//go:build !amd64

package code

// HasRDPID tells whether the processor has the instruction RDPID.
func HasRDPID() bool { return false }
