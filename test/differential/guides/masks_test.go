//go:build e2e

package guides

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// masks hide values that depend on the server or the clock. Numbered masks
// count the different values in a text: two fields with the same value on one
// server, such as a Service's cluster IP, must have the same value on the
// other.
var masks = []struct {
	name     string
	pattern  *regexp.Regexp
	numbered bool
}{
	// The addresses of the server and of kubectl proxy, whose port can look like a node port.
	{"127.0.0.1:<port>", regexp.MustCompile(`\b127\.0\.0\.1:\d+`), false},
	{"<uid>", regexp.MustCompile(framework.UIDs), true},
	// Automatic picks are from .145 on; the Service kubernetes has .129.
	{"<cluster IP>", regexp.MustCompile(`\b10\.96\.100\.(14[5-9]|1[5-9]\d|2\d\d)\b`), true},
	{"<node port>", regexp.MustCompile(`\b3[0-2]\d{3}\b`), true},
	// The addresses of mirrored slices have no order.
	{"<external IP>", regexp.MustCompile(`\b(11\.11\.11\.11|22\.22\.22\.22)\b`), true},
	// Generated names have no vowels (apimachinery's rand.String).
	{"-<random>", regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{5}\b`), true},
	{"<time>", regexp.MustCompile(framework.Times), false},
	{"resourceVersion: <version>", regexp.MustCompile(`\bresourceVersion: "\d+"`), false},
	{`"resourceVersion": "<version>"`, regexp.MustCompile(`"resourceVersion": "\d+"`), false},
	// The field managers of the servers' own writes; Portolan runs in the
	// process of the test.
	{`"manager": "<server>"`, regexp.MustCompile(`"manager": "(kube-apiserver|kube-controller-manager|guides\.test)"`), false},
	{"$1-<directory>", regexp.MustCompile(`\b(LIVE|MERGED|kubectl-edit)-\d+`), false},
	// The width of a column depends on its content.
	{"AGE   ", regexp.MustCompile(`\bAGE {3,}`), false},
	{"$1<age>$3", regexp.MustCompile(`(?m)(^| )` + framework.Ages + `( {2}|$) *`), false},
}

// named are the node ports that the guides name.
var named = []string{"30123", "31000"}

// masked returns the output of a server at a port with its values hidden.
func masked(text, port string) string {
	text = serverPort(port).ReplaceAllString(indented(text), "<port>")
	for _, mask := range masks {
		if !mask.numbered {
			text = mask.pattern.ReplaceAllString(text, mask.name)
			continue
		}
		var seen []string
		text = mask.pattern.ReplaceAllStringFunc(text, func(found string) string {
			if slices.Contains(named, found) {
				return found
			}
			if !slices.Contains(seen, found) {
				seen = append(seen, found)
			}
			return fmt.Sprintf("%s%d", mask.name, 1+slices.Index(seen, found))
		})
	}
	return text
}

func serverPort(port string) *regexp.Regexp { return regexp.MustCompile(`\b` + port + `\b`) }

// indented indents lines of JSON so that a difference is readable.
func indented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		var out bytes.Buffer
		if strings.HasPrefix(line, "{") && json.Indent(&out, []byte(line), "", "  ") == nil {
			lines[i] = out.String()
		}
	}
	return strings.Join(lines, "\n")
}

// TestMasks checks that masks hide nothing that must be compared.
func TestMasks(t *testing.T) {
	t.Parallel()
	row := "toad   NodePort   10.96.100.150   <none>   80:30500/TCP   5s    app=toad"
	for name, c := range map[string]struct {
		kube, portolan string
		same           bool
	}{
		"another address and port":   {row, strings.NewReplacer("150", "250", "30500", "32500", "5s ", "10s").Replace(row), true},
		"another type":               {row, strings.Replace(row, "NodePort", "ClusterIP", 1), false},
		"another column":             {row, strings.Replace(row, "<none>   ", "", 1), false},
		"a wider column":             {row, strings.Replace(row, "toad   ", "toad    ", 1), false},
		"the port that was named":    {"80:30123/TCP", "80:30124/TCP", false},
		"the address that was named": {"10.96.100.130", "10.96.100.131", false},
		"an address of its own": {
			"clusterIP: 10.96.100.150\nclusterIPs:\n- 10.96.100.150", "clusterIP: 10.96.100.150\nclusterIPs:\n- 10.96.100.151", false,
		},
		"older":                {"NAME   AGE     SELECTOR\na      2m10s   b", "NAME   AGE   SELECTOR\na      10s   b", true},
		"a Pod's address":      {"192.0.2.1:8080", "192.0.2.2:8080", false},
		"the server's port":    {"TargetPort: 40001/TCP", "TargetPort: 40002/TCP", true},
		"another port":         {"TargetPort: 40003/TCP", "TargetPort: 40002/TCP", false},
		"mirrored addresses":   {"22.22.22.22,11.11.11.11", "11.11.11.11,22.22.22.22", true},
		"one mirrored address": {"22.22.22.22,11.11.11.11", "11.11.11.11,11.11.11.11", false},
		"a timeout":            {"timeoutSeconds: 10800", "timeoutSeconds: 10801", false},
		"a field of JSON":      {`{"a":{"b":1}}`, `{"a":{"b":2}}`, false},
		"the exit code":        {result{code: 0}.String(), result{code: 1}.String(), false},
		"where it is printed":  {result{stdout: "a\n"}.String(), result{stderr: "a\n"}.String(), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if difference := differ(masked(c.kube, "40001"), masked(c.portolan, "40002")); (difference == "") != c.same {
				t.Errorf("they are compared as\n%s\n%s\nwhich differ in %q", masked(c.kube, "40001"), masked(c.portolan, "40002"), difference)
			}
		})
	}
}
