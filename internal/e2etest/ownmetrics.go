//go:build linux

package e2etest

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// FreeAddress returns an address on loopback that nobody listens at.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("look for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// OwnMetric returns the sum of all series of one of the collector's own metrics, which it serves at an address in the format of
// Prometheus. A metric of which it serves none is an error.
func OwnMetric(address, metric string) (sum float64, err error) {
	response, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return 0, fmt.Errorf("ask the collector for its metrics: %w", err)
	}
	defer response.Body.Close()
	isThere := false
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		text := lines.Text()
		name := text[:max(strings.IndexAny(text, "{ "), 0)]
		if strings.TrimSuffix(name, "_total") != metric {
			continue
		}
		value, err := strconv.ParseFloat(text[strings.LastIndexByte(text, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %q of the collector: %w", text, err)
		}
		isThere = true
		sum += value
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("read the collector's metrics: %w", err)
	}
	if !isThere {
		return 0, fmt.Errorf("the collector serves no metric %s", metric)
	}
	return sum, nil
}
