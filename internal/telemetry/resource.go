//go:build linux

package telemetry

import (
	"net/url"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// The variables by which a program names its service (OpenTelemetry's specification of environment variables). No other variable of
// a process is read.
const (
	variableServiceName = "OTEL_SERVICE_NAME"
	variableAttributes  = "OTEL_RESOURCE_ATTRIBUTES"
)

// NewResource describes a process.
func NewResource(rb *metadata.ResourceBuilder, p processes.Process, b *goexe.Binary) pcommon.Resource {
	host := thisHost()
	rb.SetProcessPid(int64(p.PID))
	rb.SetProcessExecutableName(p.Name())
	rb.SetProcessExecutablePath(p.Executable)
	rb.SetProcessRuntimeName("go")
	rb.SetProcessRuntimeVersion(b.GoVersion)
	setIf(rb.SetContainerID, p.ContainerID())
	setIf(rb.SetProcessCommandLine, strings.Join(p.Arguments(), " "))
	environment := p.Environment(variableServiceName, variableAttributes)
	stated := parseAttributes(environment[variableAttributes])
	rb.SetServiceName(firstOf(environment[variableServiceName], stated["service.name"], programName(b.MainPath), p.Name()))
	rb.SetServiceInstanceID(firstOf(stated["service.instance.id"], IdentityOf(p).instance()))
	setIf(rb.SetServiceNamespace, stated["service.namespace"])
	setIf(rb.SetDeploymentEnvironmentName, stated["deployment.environment.name"])
	setIf(rb.SetServiceVersion, firstOf(stated["service.version"], releasedVersion(b.MainVersion)))
	setIf(rb.SetHostID, firstOf(stated["host.id"], host.id))
	setIf(rb.SetHostName, firstOf(stated["host.name"], host.name))
	setIf(rb.SetVcsRefHeadRevision, b.Revision)
	return rb.Emit()
}

func setIf(set func(string), value string) {
	if value != "" {
		set(value)
	}
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// roles are elements of a main package's path that say what it is in its module, and not which program.
var roles = map[string]bool{"app": true, "bin": true, "cmd": true, "main": true, "server": true, "service": true, "src": true}

// programName returns what a person would call a program by its main package's path: the last element that is neither a major version nor a role
// nor the host; the last one if there is no such. For programs without a service name, OpenTelemetry's SDK for Go has unknown_service and the
// executable's, by which none is found.
func programName(mainPath string) (name string) {
	if mainPath == "command-line-arguments" {
		return ""
	}
	elements := strings.Split(mainPath, "/")
	for i := len(elements) - 1; i >= 0; i-- {
		element := elements[i]
		isHost := i == 0 && len(elements) > 1 && strings.Contains(element, ".")
		if isHost || isMajorVersion(element) {
			continue
		}
		if name = firstOf(name, element); !roles[element] {
			return element
		}
	}
	return name
}

// releasedVersion leaves out the version of a build from a working directory.
func releasedVersion(version string) string {
	if version == "(devel)" {
		return ""
	}
	return version
}

// parseAttributes reads key=value pairs with percent-encoded values, separated by commas.
func parseAttributes(s string) map[string]string {
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		if decoded, err := url.PathUnescape(strings.TrimSpace(value)); err == nil {
			pairs[strings.TrimSpace(key)] = decoded
		}
	}
	return pairs
}
