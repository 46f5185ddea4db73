package operation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/component-base/metrics/testutil"
)

// expression is what a PromQL expression needs from a server. It is read from
// the words of the expression, not from a grammar: enough to find names that
// nobody exports. That the expressions are PromQL it does not show.
type expression struct {
	selectors []selector
	// grouping are the labels of by, without, on, ignoring and group_….
	grouping []string
}

type selector struct {
	metric   string
	matchers []matcher
}

type matcher struct{ label, operator, value string }

var (
	tokens = regexp.MustCompile(`\s+|#[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|` + "`[^`]*`" +
		`|\[[^\]]*\]|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?[a-z]*|[a-zA-Z_:][a-zA-Z0-9_:]*|=~|!~|!=|==|>=|<=|.`)
	word = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	gap  = regexp.MustCompile(`^(\s+|#.*)$`)

	groupings = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	operators = []string{"and", "or", "unless", "bool", "offset", "inf", "nan"}
)

// read finds the names in an expression.
func read(text string) (expression, error) {
	var e expression
	var found []string
	for _, token := range tokens.FindAllString(text, -1) {
		if !gap.MatchString(token) {
			found = append(found, token)
		}
	}
	at := func(i int) string {
		if i < len(found) {
			return found[i]
		}
		return ""
	}
	for i := 0; i < len(found); i++ {
		switch token := found[i]; {
		case slices.Contains(groupings, token):
			if at(i+1) != "(" {
				if token == "group_left" || token == "group_right" {
					continue
				}
				return e, fmt.Errorf("%q without labels in %s", token, text)
			}
			for i += 2; at(i) != ")"; i++ {
				if label := at(i); word.MatchString(label) {
					e.grouping = append(e.grouping, label)
				} else if label != "," {
					return e, fmt.Errorf("%q among labels in %s", label, text)
				}
			}
		case token == "{":
			return e, fmt.Errorf("a selector without a name in %s", text)
		case !word.MatchString(token), slices.Contains(operators, strings.ToLower(token)):
		case at(i+1) == "(", at(i+1) == "by", at(i+1) == "without":
			// A function or an aggregation.
		case at(i+1) != "{":
			e.selectors = append(e.selectors, selector{metric: token})
		default:
			s := selector{metric: token}
			for i += 2; at(i) != "}"; i += 3 {
				if at(i) == "," {
					i++
				}
				m := matcher{at(i), at(i + 1), strings.Trim(at(i+2), "\"'`")}
				if !word.MatchString(m.label) || !slices.Contains([]string{"=", "!=", "=~", "!~"}, m.operator) {
					return e, fmt.Errorf("%q %q in %s", m.label, m.operator, text)
				}
				s.matchers = append(s.matchers, m)
			}
			e.selectors = append(e.selectors, s)
		}
	}
	return e, nil
}

// prometheusLabels are what Prometheus itself puts on what it scrapes; endpoint
// is what the example in alerts.yaml adds.
var prometheusLabels = []string{"job", "instance", "endpoint"}

// missing says what of an expression is not among the samples of a server: a
// name, a label of it, or a value that the label is compared with.
func missing(e expression, samples []*testutil.Sample) []string {
	var problems []string
	known := append([]string{"le"}, prometheusLabels...)
	for _, s := range e.selectors {
		if s.metric == "up" {
			// Prometheus's own.
			continue
		}
		var series []*testutil.Sample
		for _, sample := range samples {
			if string(sample.Metric[testutil.MetricNameLabel]) == s.metric {
				series = append(series, sample)
			}
		}
		if len(series) == 0 {
			problems = append(problems, fmt.Sprintf("no metric %s", s.metric))
			continue
		}
		for label := range series[0].Metric {
			known = append(known, string(label))
		}
		for _, m := range s.matchers {
			if slices.Contains(prometheusLabels, m.label) {
				continue
			}
			if _, has := series[0].Metric[testutil.LabelName(m.label)]; !has {
				problems = append(problems, fmt.Sprintf("%s has no label %s", s.metric, m.label))
				continue
			}
			if m.operator == "=" && !slices.ContainsFunc(series, func(sample *testutil.Sample) bool {
				return string(sample.Metric[testutil.LabelName(m.label)]) == m.value
			}) {
				problems = append(problems, fmt.Sprintf("%s has no series with %s=%q", s.metric, m.label, m.value))
			}
		}
	}
	for _, label := range e.grouping {
		if !slices.Contains(known, label) {
			problems = append(problems, fmt.Sprintf("nothing has the label %s", label))
		}
	}
	return problems
}

func TestRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`up`: `{[{up []}] []}`,
		`sum by (a, b) (rate(x_total{c="1", d=~"5..", e!="}"}[5m])) / 2e3`:     `{[{x_total [{c = 1} {d =~ 5..} {e != }}]}] [a b]}`,
		`sum(rate(x_total{}[$__rate_interval])) without (a) > bool 0.5`:        `{[{x_total []}] [a]}`,
		`histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m] offset 1h)))`: `{[{x_bucket []}] [le]}`,
		"max(a) or b unless on (c) group_left d # e\n and job:f:sum ":          `{[{a []} {b []} {d []} {job:f:sum []}] [c]}`,
		`max by (x) (a) - on (x) group_right () b{y=~"$y"} == inf`:             `{[{a []} {b [{y =~ $y}]}] [x x]}`,
		`absent(a{b='c'}) or vector(0)`:                                        `{[{a [{b = c}]}] []}`,
	} {
		got, err := read(text)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s\ngot  %v, %v\nwant %s", text, got, err, want)
		}
	}
	for _, text := range []string{`{a="b"}`, `a{b}`, `a{b=="c"}`, `sum by (a) by b`, `sum by (1) (a)`, `a{b="c"`, `sum by (a`} {
		if got, err := read(text); err == nil {
			t.Errorf("%s was read: %v", text, got)
		}
	}
}

// TestMissing is the test of the test: names that nobody exports are found.
func TestMissing(t *testing.T) {
	t.Parallel()
	samples := parse(t, "# TYPE a counter\na{b=\"c\",d=\"\"} 1\na{b=\"e\",d=\"\"} 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n")
	for text, want := range map[string]string{
		`sum by (b, d, job) (a{b="c", d="", instance=~"$instance"})`:      ``,
		`histogram_quantile(0.9, sum by (le) (rate(h_bucket[5m]))) or up`: ``,
		`A`:                    `no metric A`,
		`rate(h[5m])`:          `no metric h`,
		`a + ab`:               `no metric ab`,
		`a{f="c"}`:             `a has no label f`,
		`a{b="f"}`:             `a has no series with b="f"`,
		`sum by (f) (a)`:       `nothing has the label f`,
		`a unless on (g) a`:    `nothing has the label g`,
		`sum by (b) (h_count)`: `nothing has the label b`,
	} {
		e, err := read(text)
		if err != nil {
			t.Error(err)
		}
		if got := strings.Join(missing(e, samples), "; "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
