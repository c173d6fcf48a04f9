//go:build linux

package pods

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const answer = `{"kind": "PodList", "apiVersion": "v1", "items": [
	{"metadata": {"name": "api-1", "namespace": "shop", "uid": "u1", "labels": {"app": "api"}}, "spec": {}},
	{"metadata": {"name": "etcd-node", "namespace": "kube-system", "uid": "mirror", "annotations": {"kubernetes.io/config.hash": "hash"}}}]}`

// roundTripper answers without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(status int, body string) *http.Response {
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	w.Body.WriteString(body)
	return w.Result()
}

// TestPod looks at when Kubernetes is asked: of an id that is new, at most once a second, and of others once a minute.
func TestPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		l := New(Options{Logger: zap.NewNop(), Client: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			asked++
			return response(http.StatusOK, answer), nil
		})}})
		expect := func(uid string, known bool, requests int) {
			t.Helper()
			if _, is := l.Pod(uid); is != known || asked != requests {
				t.Errorf("%s: known is %v, and %d requests were made, not %d", uid, is, asked, requests)
			}
		}
		expect("u1", true, 1)
		expect("hash", true, 1)
		expect("new", false, 1)
		time.Sleep(pause)
		expect("new", false, 2)
		time.Sleep(freshness - time.Second)
		expect("u1", true, 2)
		time.Sleep(time.Second)
		expect("u1", true, 3)
		if pod, _ := l.Pod("u1"); pod.Namespace != "shop" || pod.Name != "api-1" || pod.Labels["app"] != "api" {
			t.Errorf("it is %+v", pod)
		}
	})
}

// TestProblems makes Kubernetes fail: what it has told before is kept, and each problem is logged once.
func TestProblems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		status := http.StatusOK
		l := New(Options{Logger: zap.New(core), Client: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return response(status, answer), nil
		})}})
		l.Pod("u1")
		for _, status = range []int{http.StatusForbidden, http.StatusForbidden, http.StatusInternalServerError} {
			time.Sleep(freshness)
			if _, known := l.Pod("u1"); !known {
				t.Errorf("after %d, it has forgotten pods", status)
			}
		}
		if logs.Len() != 2 {
			t.Errorf("%d problems were logged", logs.Len())
		}
	})
}

func TestCheck(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		status    int
		body      string
		token     string
		error     string
		temporary bool
	}{
		"pods":            {status: 200, body: answer, token: token},
		"no token":        {status: 200, body: answer, token: token + "x", error: "read the token (token_file)"},
		"unknown":         {status: 401, token: token, error: "Unauthorized: the token is not taken"},
		"no role":         {status: 403, token: token, error: "Forbidden: the service account needs a role"},
		"wrong path":      {status: 404, token: token, error: "404 Not Found"},
		"busy":            {status: 503, token: token, error: "Service Unavailable", temporary: true},
		"something else":  {status: 200, body: "<html>", token: token, error: "is no list of pods"},
		"other resources": {status: 200, body: `{"kind": "NodeList", "items": []}`, token: token, error: `is no list of pods but "NodeList"`},
	} {
		t.Run(name, func(t *testing.T) {
			l := New(Options{URL: "https://node:10250/pods", TokenFile: c.token, Logger: zap.NewNop(), Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if got := r.Header.Get("Authorization"); got != "Bearer secret" {
					t.Errorf("the token is sent as %q", got)
				}
				return response(c.status, c.body), nil
			})}})
			err := l.Check(t.Context())
			if (err == nil) != (c.error == "") || err != nil && !strings.Contains(err.Error(), c.error) {
				t.Errorf("the error is %v", err)
			}
			if errors.Is(err, ErrUnreachable) != c.temporary {
				t.Errorf("whether it may pass is wrong: %v", err)
			}
		})
	}
}

// TestServers looks at errors of the network: nobody listens, nobody answers, and a certificate that nobody trusts, which does not pass.
func TestServers(t *testing.T) {
	var hang atomic.Bool
	done := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hang.Load() {
			<-done
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	defer close(done)
	check := func(client *http.Client) error {
		return New(Options{URL: server.URL, Client: client, Logger: zap.NewNop()}).Check(t.Context())
	}
	if err := check(server.Client()); err != nil {
		t.Error(err)
	}
	if err := check(&http.Client{}); err == nil || errors.Is(err, ErrUnreachable) {
		t.Errorf("of a certificate that is not trusted, the error is %v", err)
	}
	hang.Store(true)
	slow := server.Client()
	slow.Timeout = 50 * time.Millisecond
	if err := check(slow); !errors.Is(err, ErrUnreachable) {
		t.Errorf("of a server that does not answer, the error is %v", err)
	}
	err := New(Options{URL: "http://127.0.0.1:1", Client: &http.Client{}, Logger: zap.NewNop()}).Check(t.Context())
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("where nobody listens, the error is %v", err)
	}
}
