package operation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	"sigs.k8s.io/yaml"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/controllers/mirror"
	portolanmetrics "github.com/portolan-dev/portolan/pkg/metrics"
	"github.com/portolan-dev/portolan/test/framework"
)

func artifact(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(framework.Path("artifacts", "monitoring", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// alerts are the expressions of the alert rules, by name.
func alerts(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(artifact(t, "alerts.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	expressions := map[string]string{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if _, twice := expressions[rule.Alert]; twice || rule.Alert == "" || rule.Expr == "" {
				t.Errorf("%s: the alert %q is there twice, or has no name or expression", group.Name, rule.Alert)
			}
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s: what is it, how bad and what to do?", rule.Alert)
			}
			expressions[rule.Alert] = rule.Expr
		}
	}
	return expressions
}

// labelValues is how Grafana asks for the values of a variable.
var labelValues = regexp.MustCompile(`^label_values\((.*), *(\w+)\)$`)

// panels are the expressions of the dashboard, by title of the panel or name of
// the variable.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	var dashboard struct {
		Templating struct {
			List []struct {
				Name, Type string
				Query      any
				Definition string
			}
		}
		Panels []struct {
			Title, Type string
			Datasource  struct{ UID string }
			Targets     []struct {
				Expr       string
				Datasource struct{ UID string }
			}
		}
	}
	if err := json.Unmarshal(artifact(t, "dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	const source = "${datasource}"
	expressions, sources := map[string][]string{}, 0
	for _, variable := range dashboard.Templating.List {
		switch variable.Type {
		case "datasource":
			if variable.Query == "prometheus" && variable.Name == "datasource" {
				sources++
			}
		case "query":
			parts := labelValues.FindStringSubmatch(variable.Definition)
			if parts == nil {
				t.Fatalf("variable %s: %s", variable.Name, variable.Definition)
			}
			expressions["variable "+variable.Name] = []string{"sum by (" + parts[2] + ") (" + parts[1] + ")"}
		}
	}
	if sources != 1 {
		t.Error("the dashboard has no variable for its data source")
	}
	for _, panel := range dashboard.Panels {
		if panel.Type == "row" {
			continue
		}
		if len(panel.Targets) == 0 || panel.Datasource.UID != source {
			t.Errorf("panel %q has nothing to show, or a data source of its own", panel.Title)
		}
		for _, target := range panel.Targets {
			if target.Datasource.UID != source {
				t.Errorf("panel %q has a data source of its own", panel.Title)
			}
			expressions["panel "+panel.Title] = append(expressions["panel "+panel.Title], target.Expr)
		}
	}
	return expressions
}

// TestArtifacts wants all that the dashboard and the alerts name to be exported
// by a server that has been used.
func TestArtifacts(t *testing.T) {
	t.Parallel()
	client := used(t)
	questions := panels(t)
	for name, expr := range alerts(t) {
		questions["alert "+name] = []string{expr}
	}
	needed := map[string][]expression{}
	selectors := 0
	for name, expressions := range questions {
		for _, text := range expressions {
			e, err := read(text)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			needed[name] = append(needed[name], e)
			selectors += len(e.selectors)
		}
	}
	if len(questions) < 30 || selectors < 50 {
		t.Errorf("only %d questions with %d selectors were found", len(questions), selectors)
	}

	// A server without a cluster does not mirror one.
	registry := metrics.NewKubeRegistry()
	registry.CustomMustRegister(portolanmetrics.NewMirrorCollector(mirror.NewStatus()))
	mirrored := httptest.NewRecorder()
	metrics.HandlerFor(registry, metrics.HandlerOpts{}).ServeHTTP(mirrored, httptest.NewRequest(http.MethodGet, metricsPath, nil))
	ofMirror := parse(t, mirrored.Body.String())

	var samples []*testutil.Sample
	var problems []string
	// Some figures of the generic server are brought up to date now and then.
	framework.Eventually(t, "all series are there", func(context.Context) (bool, error) {
		samples, problems = slices.Concat(parse(t, scrape(t, client, metricsPath)), parse(t, scrape(t, client, slisPath))), nil
		for name, expressions := range needed {
			for _, e := range expressions {
				for _, problem := range missing(e, slices.Concat(samples, ofMirror)) {
					problems = append(problems, name+": "+problem)
				}
			}
		}
		slices.Sort(problems)
		return len(problems) == 0, errors.New(strings.Join(slices.Compact(problems), "\n"))
	})
	text := string(artifact(t, "alerts.yaml")) + string(artifact(t, "dashboard.json"))
	for _, sample := range samples {
		name := string(sample.Metric[testutil.MetricNameLabel])
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum"), "_bucket")
		if strings.HasPrefix(name, "portolan_") && !strings.Contains(text, base) {
			t.Errorf("nobody looks at %s", name)
		}
	}
}

// used is a client of a server that has written, refused and met conflicts. It
// runs in a process of its own: the generic server's metrics are the process's.
func used(t *testing.T) versioned.Interface {
	t.Helper()
	ctx := t.Context()
	server := framework.Spawn(t, t.TempDir(), "--service-node-port-range=20000-20001", "--service-cluster-ip-range=10.96.0.0/29",
		"--controllers")
	server.WaitReady(t)
	client := server.Client(t)
	services := client.PortolanV1().Services("default")
	pool := &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: "public"}, Spec: v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/24"}}}
	if _, err := client.PortolanV1().LoadBalancerPools().Create(ctx, pool, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, svc := range []struct {
		name, address string
		port          int32
		refused       bool
	}{
		{"b", "10.96.0.5", 20001, false}, {"a", "", 0, false},
		{"c", "10.96.0.5", -1, true}, {"c", "", 20001, true}, {"c", "", 0, true},
		{"c", "", -1, false}, {"d", "", -1, false}, {"e", "", -1, false}, {"f", "", -1, false}, {"g", "", -1, true},
	} {
		if _, err := services.Create(ctx, service(svc.name, svc.address, svc.port), metav1.CreateOptions{}); (err != nil) != svc.refused {
			t.Fatalf("%+v: %v", svc, err)
		}
	}
	if _, err := services.Patch(ctx, "a", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := services.Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return client
}
