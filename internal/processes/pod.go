//go:build linux

package processes

import (
	"path"
	"regexp"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/pods"
)

// PodSelector matches pods that meet all that it has.
type PodSelector struct {
	// Namespace and Name are globs, in the syntax of path.Match; "" matches all.
	Namespace, Name string
	// Labels are those that a pod has, among others.
	Labels map[string]string
}

func (s *PodSelector) matches(p pods.Pod) bool {
	for key, value := range s.Labels {
		if is, has := p.Labels[key]; !has || is != value {
			return false
		}
	}
	return globbed(s.Namespace, p.Namespace) && globbed(s.Name, p.Name)
}

func globbed(glob, name string) bool {
	matched, err := path.Match(glob, name)
	return glob == "" || err == nil && matched
}

// podUID is what the kubelet puts into the names of control groups, for either driver (k8s.io/kubernetes/pkg/kubelet/cm, GetPodCgroupNameSuffix
// and ToSystemd): the pod's id, in which the systemd driver has _ for -, or the hash of a static pod's manifest.
var podUID = regexp.MustCompile(`pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?:/|$)`)

// PodUID returns the id of the pod that the process runs in, by its control groups; "" if it runs in none.
func (p Process) PodUID() string {
	for _, group := range p.Cgroups() {
		if uid := podIn(group.Path); uid != "" {
			return uid
		}
	}
	return ""
}

// podIn returns the pod's id in a control group's path.
func podIn(path string) string {
	found := podUID.FindStringSubmatch(path)
	if found == nil {
		return ""
	}
	return strings.ReplaceAll(found[1], "_", "-")
}

// membership is what is known of the pod that a process runs in.
type membership struct {
	pods.Pod
	in    bool // it runs in a pod
	known bool // and that is known
}

func (s Selection) membership(p Process) (m membership) {
	if !s.ByPods() {
		return m
	}
	uid := p.PodUID()
	if m.in = uid != ""; m.in {
		m.Pod, m.known = s.Pods.Pod(uid)
	}
	return m
}
