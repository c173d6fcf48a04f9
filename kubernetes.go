//go:build linux

package goroutinereceiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"time"

	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/pods"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// KubernetesConfig says whom to ask for the pods of this node.
type KubernetesConfig struct {
	// Endpoint is the URL of the kubelet, or one of the API server that lists pods. Without, targets cannot name pods.
	Endpoint string `mapstructure:"endpoint"`
	// TokenFile has the token that is shown; empty for none.
	TokenFile string `mapstructure:"token_file"`
	// TLS says which server is trusted, and may have a certificate to show.
	TLS configtls.ClientConfig `mapstructure:"tls"`

	_ struct{}
}

// PodConfig names pods by all that it has.
type PodConfig struct {
	// Namespace and Pod are globs.
	Namespace string `mapstructure:"namespace"`
	Pod       string `mapstructure:"pod"`
	// Labels are those that a pod has, among others.
	Labels map[string]string `mapstructure:"labels"`

	empty string // a key that has no value
}

// serviceAccount is where Kubernetes puts what a container needs to prove its service account.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

func defaultKubernetesConfig() KubernetesConfig {
	c := KubernetesConfig{TokenFile: serviceAccount + "token", TLS: configtls.NewDefaultClientConfig()}
	c.TLS.CAFile = serviceAccount + "ca.crt"
	return c
}

// Unmarshal reads names of pods, and which key has no value.
func (c *PodConfig) Unmarshal(conf *confmap.Conf) error {
	c.empty = emptyKey(conf)
	return conf.Unmarshal(c)
}

// Validate reports names of pods that name nothing.
func (c *PodConfig) Validate() error {
	if c.empty != "" {
		return errEmpty(c.empty)
	}
	if c.Namespace == "" && c.Pod == "" && len(c.Labels) == 0 {
		return errors.New(`one of namespace, pod and labels is needed; namespace: "*" is for all pods`)
	}
	for key, glob := range map[string]string{"namespace": c.Namespace, "pod": c.Pod} {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("%s: %q: %w", key, glob, err)
		}
	}
	return nil
}

func (c *PodConfig) selector() *processes.PodSelector {
	if c == nil {
		return nil
	}
	return &processes.PodSelector{Namespace: c.Namespace, Name: c.Pod, Labels: c.Labels}
}

// Validate reports an endpoint that cannot be asked.
func (c *KubernetesConfig) Validate() error {
	if c.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("endpoint: %q is not allowed, it must be a URL as https://10.0.0.1:10250", c.Endpoint)
	case u.Scheme == "http" && c.TokenFile != "":
		return fmt.Errorf(`endpoint: %q is not allowed, as everybody could read the token on its way: take https, or token_file: ""`, c.Endpoint)
	}
	return nil
}

// podsURL is what lists pods: where the endpoint names no path, that of the kubelet.
func (c *KubernetesConfig) podsURL() string {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Path != "" && u.Path != "/" {
		return c.Endpoint
	}
	return u.JoinPath("pods").String()
}

// answerTime is how long Kubernetes may take to answer.
const answerTime = 5 * time.Second

// client returns an HTTP client that keeps no connection: it is used rarely.
func (c *KubernetesConfig) client(ctx context.Context) (*http.Client, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	if u, err := url.Parse(c.Endpoint); err == nil && u.Scheme == "https" {
		trusted, err := c.TLS.LoadTLSConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("kubernetes: tls: %w", err)
		}
		transport.TLSClientConfig = trusted
	}
	return &http.Client{Transport: transport, Timeout: answerTime}, nil
}

// selection says which processes count. If it needs to know pods, those who know them must let it ask; that they do not answer for the moment is
// no error.
func (s *shared) selection(ctx context.Context) (processes.Selection, error) {
	selection := s.config.selection()
	if !selection.ByPods() {
		return selection, nil
	}
	client, err := s.config.Kubernetes.client(ctx)
	if err != nil {
		return selection, err
	}
	list := pods.New(pods.Options{URL: s.config.Kubernetes.podsURL(), TokenFile: s.config.Kubernetes.TokenFile, Client: client, Logger: s.set.Logger})
	selection.Pods = list
	err = list.Check(ctx)
	if errors.Is(err, pods.ErrUnreachable) {
		s.set.Logger.Warn("Until Kubernetes answers, no process is followed because of its pod", zap.Error(err))
		return selection, nil
	}
	return selection, err
}
