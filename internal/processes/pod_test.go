//go:build linux

package processes

import (
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/pods"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func TestPodIn(t *testing.T) {
	const uid, hash = "5c0a1f9e-7d32-4b8a-9c11-0d2e4f6a8b0c", "0123456789abcdef0123456789abcdef"
	id := strings.Repeat("8a1d3c5e", 8)
	systemd := strings.ReplaceAll(uid, "-", "_")
	for path, want := range map[string]string{
		"/kubepods/burstable/pod" + uid + "/" + id: uid,
		"/kubepods/pod" + hash + "/" + id:          hash,
		"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + systemd + ".slice/cri-containerd-" + id + ".scope":             uid,
		"/../../kubepods-pod" + systemd + ".slice/crio-" + id + ".scope":                                                                     uid, // seen from another control group's namespace
		"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + systemd + ".slice/cri-containerd-" + id + ".scope/init.scope/x.scope": uid,
		"/system.slice/docker-" + id + ".scope": "",
		"/podman/" + hash:                       "",
		"/pods/podcast.service":                 "",
	} {
		if got := podIn(path); got != want {
			t.Errorf("the pod of %s is %q, want %q", path, got, want)
		}
	}
}

func TestPodSelector(t *testing.T) {
	pod := pods.Pod{Namespace: "shop", Name: "api-7d4b9", Labels: map[string]string{"app": "api", "tier": ""}}
	for _, c := range []struct {
		PodSelector
		want bool
	}{
		{PodSelector{Namespace: "shop"}, true},
		{PodSelector{Namespace: "shop-*"}, false},
		{PodSelector{Name: "api-*"}, true},
		{PodSelector{Namespace: "other", Name: "api-*"}, false},
		{PodSelector{Namespace: "*", Labels: map[string]string{"app": "api"}}, true},
		{PodSelector{Labels: map[string]string{"app": "api", "tier": "web"}}, false},
		{PodSelector{Labels: map[string]string{"missing": ""}}, false},
	} {
		if got := c.matches(pod); got != c.want {
			t.Errorf("%+v: %v", c.PodSelector, got)
		}
	}
}

type knownPods map[string]pods.Pod

func (k knownPods) Pod(uid string) (pods.Pod, bool) {
	pod, known := k[uid]
	return pod, known
}

// TestSelectionByPod puts a process into the control group of a pod, of which Kubernetes tells only later.
func TestSelectionByPod(t *testing.T) {
	testbuild.RequireRoot(t)
	const uid = "5c0a1f9e-7d32-4b8a-9c11-0d2e4f6a8b0c"
	cmd, _ := start(t)
	p := Process{PID: cmd.Process.Pid}
	known := knownPods{}
	shop, all := Selector{Pod: &PodSelector{Namespace: "shop"}}, Selector{All: true}
	expect := func(when string, byPod, withoutPod, withoutOthers bool) {
		t.Helper()
		for what, c := range map[string]struct {
			Selection
			want bool
		}{
			"targets":  {Selection{Targets: []Selector{shop}}, byPod},
			"exclude":  {Selection{Targets: []Selector{all}, Exclude: []Selector{shop}}, withoutPod},
			"exclude2": {Selection{Targets: []Selector{all}, Exclude: []Selector{{Pod: &PodSelector{Namespace: "other"}}}}, withoutOthers},
		} {
			c.Pods = known
			if got := c.Selects(p); got != c.want {
				t.Errorf("%s: %s: %v", when, what, got)
			}
		}
	}
	expect("in no pod", false, true, true)
	join(t, "kubepods-burstable-pod"+strings.ReplaceAll(uid, "-", "_")+".slice", p.PID)
	expect("not known yet", false, false, false)
	known[uid] = pods.Pod{Namespace: "shop", Name: "api"}
	expect("known", true, false, true)
}
