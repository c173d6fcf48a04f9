//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

// client asks a server for one thing after the other, over a connection that it keeps.
type client interface {
	// ask makes a request, or one that takes the server long, and waits for the answer.
	ask(long bool) error
	Close() error
}

// dialers make clients of the servers, each with a number of its own.
var dialers = map[string]func(address string, number int) (client, error){
	"caddy":      httpClient("/", "/"+e2etest.LargeFile),
	"prometheus": httpClient("/api/v1/query?query=up", "/metrics"),
	"coredns":    dialDNS,
	"etcd":       dialEtcd,
	"nats":       dialNATS,
}

// answerTime is how long a client waits for an answer.
const answerTime = 5 * time.Second

// requester is a connection with the two requests that are sent over it.
type requester struct {
	net.Conn
	short, long []byte
}

// send sends a request, and lets no more than answerTime pass until the answer has been read.
func (r *requester) send(long bool) error {
	request := r.short
	if long {
		request = r.long
	}
	if err := r.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	_, err := r.Write(request)
	return err
}

// httpConn speaks HTTP/1.1.
type httpConn struct {
	requester
	in *bufio.Reader
}

func httpClient(path, longPath string) func(string, int) (client, error) {
	return func(address string, _ int) (client, error) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return nil, err
		}
		get := func(path string) []byte {
			return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address)
		}
		return &httpConn{requester{conn, get(path), get(longPath)}, bufio.NewReader(conn)}, nil
	}
}

func (c *httpConn) ask(long bool) error {
	if err := c.send(long); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// dnsConn asks over UDP.
type dnsConn struct {
	requester
	answer [512]byte
}

func dialDNS(address string, number int) (client, error) {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return nil, err
	}
	c := &dnsConn{requester: requester{Conn: conn}}
	if c.short, err = query(number, e2etest.FastName); err != nil {
		return nil, err
	}
	c.long, err = query(number, e2etest.SlowName)
	return c, err
}

func query(id int, name string) ([]byte, error) {
	of, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(id), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: of, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

func (c *dnsConn) ask(long bool) error {
	if err := c.send(long); err != nil {
		return err
	}
	n, err := c.Read(c.answer[:])
	if err != nil {
		return err
	}
	var p dnsmessage.Parser
	if h, err := p.Start(c.answer[:n]); err != nil || h.RCode != dnsmessage.RCodeSuccess {
		return errors.Join(err, fmt.Errorf("answer of CoreDNS: %s", h.RCode))
	}
	return nil
}

// etcdConn reads a key four times of five, and puts it else.
type etcdConn struct {
	*grpc.ClientConn
	key  []byte
	made int
}

func dialEtcd(address string, number int) (client, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(bare{})))
	return &etcdConn{ClientConn: conn, key: fmt.Append(nil, "key", number)}, err
}

const readsForPut = 4

func (c *etcdConn) ask(long bool) error {
	c.made++
	// RangeRequest and PutRequest of etcd's rpc.proto both have the key as field 1, the latter the value as field 2.
	request := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), c.key)
	method := "/etcdserverpb.KV/Range"
	if long || c.made%(readsForPut+1) == 0 {
		method = "/etcdserverpb.KV/Put"
		value := []byte("value")
		if long {
			value = make([]byte, 1<<20)
			request = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("large"))
		}
		request = protowire.AppendBytes(protowire.AppendTag(request, 2, protowire.BytesType), value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	var answer []byte
	return c.Invoke(ctx, method, &request, &answer)
}

// bare is a codec for messages that are encoded already.
type bare struct{}

func (bare) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (bare) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

func (bare) Name() string { return "proto" }

// natsConn publishes with one connection what it has subscribed to with another.
type natsConn struct {
	out, in net.Conn
	read    *bufio.Reader
	subject string
	large   []byte
}

func dialNATS(address string, number int) (client, error) {
	c := &natsConn{subject: fmt.Sprint("bench.", number), large: make([]byte, 1000<<10)}
	var err error
	if c.out, _, err = connectNATS(address); err != nil {
		return nil, err
	}
	if c.in, c.read, err = connectNATS(address); err != nil {
		return nil, err
	}
	// The answer to PING says that the subscription is known.
	if _, err := fmt.Fprintf(c.in, "SUB %s 1\r\nPING\r\n", c.subject); err != nil {
		return nil, err
	}
	return c, expect(c.read, "PONG")
}

// connectNATS greets the server.
func connectNATS(address string) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, nil, err
	}
	in := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n"); err != nil {
		return nil, nil, err
	}
	return conn, in, errors.Join(expect(in, "INFO"), expect(in, "PONG"), conn.SetDeadline(time.Time{}))
}

func expect(in *bufio.Reader, command string) error {
	line, err := in.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, command) {
		err = fmt.Errorf("NATS said %q instead of %s", line, command)
	}
	return err
}

func (c *natsConn) ask(long bool) error {
	message := []byte("hello")
	if long {
		message = c.large
	}
	if err := c.in.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if _, err := c.out.Write(fmt.Appendf(nil, "PUB %s %d\r\n%s\r\n", c.subject, len(message), message)); err != nil {
		return err
	}
	for {
		line, err := c.read.ReadString('\n')
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, "PING"):
			if _, err := io.WriteString(c.in, "PONG\r\n"); err != nil {
				return err
			}
		case strings.HasPrefix(line, "MSG"):
			_, err := c.read.Discard(len(message) + len("\r\n"))
			return err
		default:
			return fmt.Errorf("NATS said %q", line)
		}
	}
}

func (c *natsConn) Close() error { return errors.Join(c.out.Close(), c.in.Close()) }
