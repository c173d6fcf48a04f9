package main

import (
	"bytes"
	"io"
	"math/rand"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func init() {
	signal.Notify(notified, syscall.SIGUSR1)
	add("files", files)
	add("connections", connections)
	add("signals", signals)
	add("execute", execute)
}

func files() {
	const times, size = 50, 512
	for i := 0; i < times; i++ {
		f, err := os.Open("/dev/zero")
		if err != nil {
			wrong("files %v", err)
		}
		b := make([]byte, size)
		if n, err := f.Read(b); n != size || err != nil {
			wrong("files %d %v", n, err)
		}
		_ = f.Close()
	}
}

// connections sends bytes to an echo, and compares what comes back.
func connections() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		wrong("listen %v", err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		wrong("dial %v", err)
	}
	defer c.Close()
	for i := 0; i < 5; i++ {
		out := make([]byte, 1+rand.Intn(8000))
		_, _ = rand.Read(out)
		go func() { _, _ = c.Write(out) }()
		in := make([]byte, len(out))
		if _, err := io.ReadFull(c, in); err != nil || !bytes.Equal(in, out) {
			wrong("connections %v", err)
		}
	}
}

var notified = make(chan os.Signal, 100)

func signals() {
	for i := 0; i < 10; i++ {
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		_ = syscall.Kill(os.Getpid(), syscall.SIGURG)
	}
	<-notified
	time.Sleep(200 * time.Microsecond)
	for len(notified) > 0 {
		<-notified
	}
}

func execute() {
	word := strconv.Itoa(rand.Int())
	out, err := exec.Command("/bin/echo", word).Output()
	if err != nil || string(out) != word+"\n" {
		wrong("execute %q %v", out, err)
	}
	time.Sleep(5 * time.Millisecond)
}
