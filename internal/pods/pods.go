//go:build linux

// Package pods asks Kubernetes which pods there are on a node: its kubelet, or the API server. It knows no more of them than what they are
// selected by.
package pods

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Pod is what a pod is selected by.
type Pod struct {
	Namespace, Name string
	Labels          map[string]string
}

// Options say who is asked, and how.
type Options struct {
	// URL answers with a PodList (Kubernetes API v1) as JSON.
	URL string
	// TokenFile has the token that is shown, if any. It is read anew for each request, as Kubernetes replaces it.
	TokenFile string
	Client    *http.Client
	Logger    *zap.Logger
}

// ErrUnreachable is wrapped by errors that may pass by themselves.
var ErrUnreachable = errors.New("no answer from Kubernetes")

const (
	// pause is the shortest time between two requests.
	pause = time.Second
	// freshness is for how long an answer holds: labels may change.
	freshness = time.Minute
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 20
)

// List is the pods of a node. It is safe for concurrent use.
type List struct {
	options Options

	mu       sync.Mutex // held while Kubernetes is asked: all wait for the same answer
	pods     map[string]Pod
	answered time.Time
	asked    time.Time
	problem  string // the last that was logged
}

// New returns a List that has asked nobody.
func New(o Options) *List { return &List{options: o} }

// Check asks for the pods. Its error wraps ErrUnreachable if it makes sense to try again.
func (l *List) Check(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refresh(ctx)
}

// Pod returns the pod with an id, and whether there is one, as far as is known. Of an id that is new, Kubernetes is asked, which may take as
// long as the client waits.
func (l *List) Pod(uid string) (Pod, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.pods[uid]
	fresh := known && time.Since(l.answered) < freshness
	if !fresh && time.Since(l.asked) >= pause {
		l.log(l.refresh(context.Background()))
	}
	pod, known := l.pods[uid]
	return pod, known
}

// log warns of a problem once.
func (l *List) log(err error) {
	if err == nil {
		l.problem = ""
		return
	}
	if text := err.Error(); text != l.problem {
		l.problem = text
		l.options.Logger.Warn("The pods of this node are not known: no new process is followed because of its pod", zap.Error(err))
	}
}

func (l *List) refresh(ctx context.Context) error {
	pods, err := l.ask(ctx)
	l.asked = time.Now()
	if err != nil {
		return fmt.Errorf("ask %s for the pods of this node: %w", l.options.URL, err)
	}
	l.pods, l.answered = pods, l.asked
	return nil
}

// ask returns the pods by their ids.
func (l *List) ask(ctx context.Context) (map[string]Pod, error) {
	request, err := l.request(ctx)
	if err != nil {
		return nil, err
	}
	response, err := l.options.Client.Do(request)
	if err != nil {
		return nil, unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, refusal(response.StatusCode)
	}
	return decode(io.LimitReader(response.Body, maxAnswer))
}

func (l *List) request(ctx context.Context) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.options.URL, nil)
	if err != nil || l.options.TokenFile == "" {
		return request, err
	}
	token, err := os.ReadFile(l.options.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("read the token (token_file): %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return request, nil
}

// unreachable marks errors that may pass: a certificate that is not trusted does not.
func unreachable(err error) error {
	var dial *net.OpError
	if timeout := net.Error(nil); errors.As(err, &dial) && dial.Op != "remote error" || errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return err
}

// refusal says what to do about the status of an answer.
func refusal(status int) error {
	switch text := http.StatusText(status); {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s: the token is not taken (token_file)", text)
	case status == http.StatusForbidden:
		return fmt.Errorf("%s: the service account needs a role, as in deploy/kubernetes/select-pods.yaml", text)
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %s", ErrUnreachable, text)
	default:
		return fmt.Errorf("%d %s", status, text)
	}
}

// hashAnnotation has the id that the control groups of a static pod have, where the pod of the API server has another
// (k8s.io/kubernetes/pkg/kubelet/types, ConfigHashAnnotationKey).
const hashAnnotation = "kubernetes.io/config.hash"

// podList is what is needed of k8s.io/api/core/v1.PodList.
type podList struct {
	Kind  string
	Items []struct {
		Metadata struct {
			Name, Namespace, UID string
			Labels, Annotations  map[string]string
		}
	}
}

func decode(r io.Reader) (map[string]Pod, error) {
	var list podList
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		return nil, fmt.Errorf("the answer is no list of pods: %w", err)
	}
	if list.Kind != "PodList" {
		return nil, fmt.Errorf("the answer is no list of pods but %q", list.Kind)
	}
	pods := make(map[string]Pod, len(list.Items))
	for _, item := range list.Items {
		pod := Pod{Namespace: item.Metadata.Namespace, Name: item.Metadata.Name, Labels: item.Metadata.Labels}
		pods[item.Metadata.UID] = pod
		if hash := item.Metadata.Annotations[hashAnnotation]; hash != "" {
			pods[hash] = pod
		}
	}
	return pods, nil
}
