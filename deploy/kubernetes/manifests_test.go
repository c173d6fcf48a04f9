// Package kubernetes tests the manifests beside it.
package kubernetes

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// manifests are the objects of all files, decoded strictly: a field that the API does not know is an error.
type manifests struct {
	namespaces  []core.Namespace
	accounts    []core.ServiceAccount
	configs     []core.ConfigMap
	services    []core.Service
	daemons     []apps.DaemonSet
	deployments []apps.Deployment
	roles       []rbac.ClusterRole
	bindings    []rbac.ClusterRoleBinding
}

func load(t *testing.T) *manifests {
	t.Helper()
	return loadFiles(t, "agent.yaml", "gateway.yaml")
}

func loadFiles(t *testing.T, files ...string) *manifests {
	t.Helper()
	m := &manifests{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range regexp.MustCompile(`(?m)^---$`).Split(string(data), -1) {
			m.add(t, file, []byte(document))
		}
	}
	return m
}

func (m *manifests) add(t *testing.T, file string, document []byte) {
	t.Helper()
	var kind struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(document, &kind); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 Namespace":
		m.namespaces = decode(t, m.namespaces, document)
	case "v1 ServiceAccount":
		m.accounts = decode(t, m.accounts, document)
	case "v1 ConfigMap":
		m.configs = decode(t, m.configs, document)
	case "v1 Service":
		m.services = decode(t, m.services, document)
	case "apps/v1 DaemonSet":
		m.daemons = decode(t, m.daemons, document)
	case "apps/v1 Deployment":
		m.deployments = decode(t, m.deployments, document)
	case "rbac.authorization.k8s.io/v1 ClusterRole":
		m.roles = decode(t, m.roles, document)
	case "rbac.authorization.k8s.io/v1 ClusterRoleBinding":
		m.bindings = decode(t, m.bindings, document)
	default:
		t.Fatalf("%s has a %s %s", file, kind.APIVersion, kind.Kind)
	}
}

func decode[T any](t *testing.T, all []T, document []byte) []T {
	t.Helper()
	var object T
	if err := strictly(document, &object); err != nil {
		t.Errorf("%v in\n%s", err, document)
	}
	return append(all, object)
}

// strictly decodes as the API server does with strict validation: names of fields are told apart by case, too.
func strictly(document []byte, to any) error {
	data, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	unknown, err := json.UnmarshalStrict(data, to)
	return errors.Join(append(unknown, err)...)
}

// TestUnknownFieldsAreRefused makes sure that the manifests are decoded strictly.
func TestUnknownFieldsAreRefused(t *testing.T) {
	var d apps.DaemonSet
	if err := strictly([]byte("spec: {template: {spec: {hostPid: true}}}"), &d); err == nil {
		t.Error("a field with a wrong name is taken")
	}
}

// TestAgent looks at what the agents may do: what probes take, and no more.
func TestAgent(t *testing.T) {
	m := load(t)
	if len(m.daemons) != 1 {
		t.Fatalf("there are %d DaemonSets", len(m.daemons))
	}
	d := m.daemons[0]
	isAgent(t, d.Spec.Template.Spec)
	belongTogether(t, m, d.Namespace, d.Spec.Selector.MatchLabels, d.Spec.Template)
	if got := m.bindings[0]; got.RoleRef.Name != m.roles[0].Name || got.Subjects[0].Name != d.Spec.Template.Spec.ServiceAccountName ||
		m.accounts[0].Name != got.Subjects[0].Name || got.Subjects[0].Namespace != d.Namespace {
		t.Errorf("the role is not that of the agents: %+v", got)
	}
	for _, rule := range m.roles[0].Rules {
		if !slices.Equal(rule.Verbs, []string{"get", "list", "watch"}) {
			t.Errorf("the agents may %v %v", rule.Verbs, rule.Resources)
		}
	}
}

// TestSelectPods looks at what agents may do in addition where they ask the kubelet.
func TestSelectPods(t *testing.T) {
	agents, m := load(t), loadFiles(t, "select-pods.yaml")
	role, binding := m.roles[0], m.bindings[0]
	if binding.RoleRef.Name != role.Name || binding.Subjects[0] != agents.bindings[0].Subjects[0] || role.Name == agents.roles[0].Name {
		t.Errorf("the role is not that of the agents: %+v", binding)
	}
	var resources []string
	for _, rule := range role.Rules {
		resources = append(resources, rule.Resources...)
		if !slices.Equal(rule.Verbs, []string{"get"}) {
			t.Errorf("the agents may %v %v", rule.Verbs, rule.Resources)
		}
	}
	if !slices.Equal(resources, []string{"nodes/pods", "nodes/proxy"}) {
		t.Errorf("the role is for %v", resources)
	}
	hasNodeIP := func(e core.EnvVar) bool {
		return e.Name == "NODE_IP" && e.ValueFrom != nil && e.ValueFrom.FieldRef != nil && e.ValueFrom.FieldRef.FieldPath == "status.hostIP"
	}
	if !slices.ContainsFunc(agents.daemons[0].Spec.Template.Spec.Containers[0].Env, hasNodeIP) {
		t.Error("the agents do not know the address of their kubelet")
	}
}

func isAgent(t *testing.T, pod core.PodSpec) {
	t.Helper()
	if !pod.HostPID || pod.HostNetwork || pod.HostIPC {
		t.Error("the agents share something else of the host than its processes")
	}
	if len(pod.Tolerations) != 1 || pod.Tolerations[0].Operator != core.TolerationOpExists || pod.Tolerations[0].Key != "" {
		t.Errorf("agents are not on all nodes: %v", pod.Tolerations)
	}
	c := pod.Containers[0]
	s := c.SecurityContext
	if !slices.Equal(s.Capabilities.Add, []core.Capability{"SYS_ADMIN", "SYS_PTRACE"}) || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
		t.Errorf("the agents have %+v", s.Capabilities)
	}
	if s.Privileged != nil && *s.Privileged || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		t.Error("the agents are privileged, or can write to their root")
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Error("the agents have no requests and limits")
	}
}

// belongTogether checks that what a pod refers to is there.
func belongTogether(t *testing.T, m *manifests, namespace string, selector map[string]string, template core.PodTemplateSpec) {
	t.Helper()
	if !maps.Equal(selector, template.Labels) {
		t.Errorf("the selector %v does not select %v", selector, template.Labels)
	}
	if m.namespaces[0].Name != namespace {
		t.Errorf("there is no namespace %s", namespace)
	}
	for _, v := range template.Spec.Volumes {
		if !slices.ContainsFunc(m.configs, func(c core.ConfigMap) bool { return c.Namespace == namespace && c.Name == v.ConfigMap.Name }) {
			t.Errorf("there is no ConfigMap %s", v.ConfigMap.Name)
		}
	}
	for _, v := range template.Spec.Containers[0].VolumeMounts {
		if !slices.ContainsFunc(template.Spec.Volumes, func(w core.Volume) bool { return v.Name == w.Name }) {
			t.Errorf("there is no volume %s", v.Name)
		}
	}
}

// TestTracesFindTheirGateway follows the names from the agents' configuration to the gateways.
func TestTracesFindTheirGateway(t *testing.T) {
	m := load(t)
	d := m.deployments[0]
	belongTogether(t, m, d.Namespace, d.Spec.Selector.MatchLabels, d.Spec.Template)
	agent, _ := m.config(t, "goroutine-agent").(map[string]any)["exporters"].(map[string]any)
	balancing, _ := agent["load_balancing"].(map[string]any)
	if balancing["routing_key"] != "traceID" {
		t.Errorf("spans are not sent by the ids of their traces: %v", balancing)
	}
	host := balancing["resolver"].(map[string]any)["dns"].(map[string]any)["hostname"].(string)
	endpoint, _, _ := strings.Cut(agent["otlp_grpc"].(map[string]any)["endpoint"].(string), ":")
	for name, headless := range map[string]bool{host: true, endpoint: false} {
		i := slices.IndexFunc(m.services, func(s core.Service) bool { return s.Name+"."+s.Namespace+".svc.cluster.local" == name })
		if i < 0 {
			t.Errorf("there is no service %s", name)
			continue
		}
		s := m.services[i]
		if (s.Spec.ClusterIP == core.ClusterIPNone) != headless || !maps.Equal(s.Spec.Selector, d.Spec.Template.Labels) || s.Spec.Ports[0].Port != 4317 {
			t.Errorf("%s is %+v", name, s.Spec)
		}
	}
}

// config returns the collector's configuration in a ConfigMap.
func (m *manifests) config(t *testing.T, name string) (config any) {
	t.Helper()
	for _, c := range m.configs {
		if c.Name == name {
			if err := yaml.UnmarshalStrict([]byte(c.Data["config.yaml"]), &config); err != nil {
				t.Fatal(err)
			}
		}
	}
	return config
}

// TestTargets matches the targets with the control groups that kubelets make.
func TestTargets(t *testing.T) {
	receivers := load(t).config(t, "goroutine-agent").(map[string]any)["receivers"].(map[string]any)
	var globs []string
	for _, target := range receivers["goroutine"].(map[string]any)["targets"].([]any) {
		globs = append(globs, target.(map[string]any)["cgroup"].(string))
	}
	for path, want := range map[string]bool{
		"/kubepods/burstable/pod1234/abcd": true,
		"/kubepods/pod1234/abcd":           true,
		"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1234.slice/cri-containerd-abcd.scope": true,
		"/kubepods.slice/kubepods-pod1234.slice/crio-abcd.scope":                                                true,
		"/system.slice/kubelet.service":                                                                         false,
		"/user.slice/a/b":                                                                                       false,
	} {
		got := slices.ContainsFunc(globs, func(glob string) bool { ok, _ := filepath.Match(glob, path); return ok })
		if got != want {
			t.Errorf("%s is a target: %v", path, got)
		}
	}
}

// values are those of the chart that are fields of its DaemonSet.
type values struct {
	HostPID           bool                      `json:"hostPID"`
	PriorityClassName string                    `json:"priorityClassName"`
	Tolerations       []core.Toleration         `json:"tolerations"`
	NodeSelector      map[string]string         `json:"nodeSelector"`
	Resources         core.ResourceRequirements `json:"resources"`
	SecurityContext   *core.SecurityContext     `json:"securityContext"`
	ExtraEnvs         []core.EnvVar             `json:"extraEnvs"`
	ClusterRole       struct {
		Create bool              `json:"create"`
		Rules  []rbac.PolicyRule `json:"rules"`
	} `json:"clusterRole"`

	Mode            string                            `json:"mode"`
	Image           struct{ Repository, Tag string }  `json:"image"`
	Command         struct{ Name string }             `json:"command"`
	Ports           map[string]struct{ Enabled bool } `json:"ports"`
	AlternateConfig map[string]any                    `json:"alternateConfig"`
}

// TestHelmValues fills in the fields as the chart's templates do.
func TestHelmValues(t *testing.T) {
	data, err := os.ReadFile("helm-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var v values
	if err := yaml.UnmarshalStrict(data, &v); err != nil {
		t.Fatal(err)
	}
	isAgent(t, core.PodSpec{
		HostPID: v.HostPID, PriorityClassName: v.PriorityClassName, Tolerations: v.Tolerations, NodeSelector: v.NodeSelector,
		Containers: []core.Container{{Resources: v.Resources, SecurityContext: v.SecurityContext, Env: v.ExtraEnvs}},
	})
	if v.Mode != "daemonset" || !v.ClusterRole.Create {
		t.Errorf("the mode is %q, a role is made: %v", v.Mode, v.ClusterRole.Create)
	}
	if role := load(t).roles[0]; !slices.EqualFunc(v.ClusterRole.Rules, role.Rules, func(a, b rbac.PolicyRule) bool { return a.String() == b.String() }) {
		t.Errorf("the role is not that of the manifests: %v", v.ClusterRole.Rules)
	}
	agent, _ := load(t).config(t, "goroutine-agent").(map[string]any)
	for _, part := range []string{"receivers", "processors"} {
		mine, _ := yaml.Marshal(v.AlternateConfig[part])
		theirs, _ := yaml.Marshal(agent[part])
		if !bytes.Equal(bytes.ReplaceAll(mine, []byte("{}"), []byte("null")), theirs) {
			t.Errorf("the %s are not those of the manifests:\n%s\nbut\n%s", part, mine, theirs)
		}
	}
}
