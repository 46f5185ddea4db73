package operation

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/component-base/metrics/testutil"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	metricsPath = "/metrics"
	slisPath    = "/metrics/slis"
)

// scrape reads a path as Prometheus does, as the administrator.
func scrape(t *testing.T, client versioned.Interface, path string) string {
	t.Helper()
	data, err := client.Discovery().RESTClient().Get().AbsPath(path).DoRaw(t.Context())
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return string(data)
}

func parse(t *testing.T, text string) []*testutil.Sample {
	t.Helper()
	parsed := testutil.NewMetrics()
	if err := testutil.ParseMetrics(text, &parsed); err != nil {
		t.Fatal(err)
	}
	var samples []*testutil.Sample
	for _, family := range parsed {
		samples = append(samples, family...)
	}
	return samples
}

// own are a server's own series that begin with one of the prefixes, buckets and
// sums apart.
func own(t *testing.T, server *framework.Server, prefixes ...string) map[string]float64 {
	t.Helper()
	series := map[string]float64{}
	for _, sample := range parse(t, scrape(t, server.Client, metricsPath)) {
		name := string(sample.Metric[testutil.MetricNameLabel])
		if !strings.HasSuffix(name, "_bucket") && !strings.HasSuffix(name, "_sum") &&
			slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			series[sample.Metric.String()] = float64(sample.Value)
		}
	}
	return series
}

// expect waits until a server's series that begin with one of the prefixes are
// what is wanted.
func expect(t *testing.T, what string, server *framework.Server, want map[string]float64, prefixes ...string) {
	t.Helper()
	var got map[string]float64
	err := framework.Poll(t.Context(), func(context.Context) (bool, error) {
		got = own(t, server, prefixes...)
		return maps.Equal(got, want), nil
	})
	if err == nil {
		return
	}
	t.Errorf("%s: the series are", what)
	for _, series := range slices.Sorted(maps.Keys(got)) {
		if value, wanted := want[series]; !wanted || value != got[series] {
			t.Errorf("  %s is %v", series, got[series])
		}
	}
	for _, series := range slices.Sorted(maps.Keys(want)) {
		if value, there := got[series]; !there || value != want[series] {
			t.Errorf("  %s should be %v", series, want[series])
		}
	}
}
