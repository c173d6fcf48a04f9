//go:build linux

// Command init is the first process of a virtual machine in which tests run on another kernel or architecture: it mounts what they
// need, runs the command that the kernel's command line names after "--", says how that ended and powers off.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// The file system in which the machine begins is in memory and can be written to; /tmp is a part of it.
var mounts = map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs"}

func main() {
	err := errors.Join(mount(), raiseLoopback())
	if err == nil {
		err = run(os.Args[1:])
	}
	status := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		status = exit.ExitCode()
	case err != nil:
		fmt.Println("init:", err)
		status = 125
	}
	fmt.Printf("VM-EXIT %d\n", status)
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func mount() (err error) {
	err = os.MkdirAll("/tmp", 0o777)
	for path, kind := range mounts {
		if e := os.MkdirAll(path, 0o755); e != nil {
			err = errors.Join(err, e)
		}
		if e := unix.Mount(kind, path, kind, 0, ""); e != nil && e != unix.EBUSY {
			err = errors.Join(err, fmt.Errorf("mount %s: %w", path, e))
		}
	}
	return err
}

// raiseLoopback lets the guest use 127.0.0.1.
func raiseLoopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}

func run(command []string) error {
	if len(command) == 0 {
		return errors.New("the kernel's command line names no command")
	}
	c := exec.Command(command[0], command[1:]...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.Env = []string{"HOME=/tmp", "TMPDIR=/tmp", "CI=true", "EMULATED=true"}
	return c.Run()
}
