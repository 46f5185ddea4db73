package bodies

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

const (
	jsonType  = "application/json"
	yamlType  = "application/yaml"
	protobuf  = "application/vnd.kubernetes.protobuf"
	jsonPatch = "application/json-patch+json"
	merge     = "application/merge-patch+json"
	strategic = "application/strategic-merge-patch+json"
	apply     = "application/apply-patch+yaml"

	maxBytes = 3 << 20
)

func nested(open, inner, closing string, depth int) string {
	return strings.Repeat(open, depth) + inner + strings.Repeat(closing, depth)
}

// send returns what a handler behind the filter reads, or the error that it gets.
func send(t *testing.T, contentType, body string) (read string, rejected error) {
	t.Helper()
	handler := http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		// The handlers of the API server do the same.
		data, err := io.ReadAll(req.Body)
		read, rejected = string(data), err
	})
	info := &apirequest.RequestInfo{IsResourceRequest: true}
	req := httptest.NewRequest(http.MethodPatch, "/", struct{ io.Reader }{strings.NewReader(body)})
	req = req.WithContext(apirequest.WithRequestInfo(req.Context(), info))
	req.Header.Set("Content-Type", contentType)
	WithLimits(handler, maxBytes).ServeHTTP(httptest.NewRecorder(), req)
	return read, rejected
}

// limitTest is a body and what is expected of it.
type limitTest struct {
	name, contentType, body string
	// rejection is part of the message, empty if the body passes.
	rejection string
}

func runLimitTests(t *testing.T, tests []limitTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			read, rejected := send(t, test.contentType, test.body)
			if test.rejection == "" {
				if rejected != nil || read != test.body {
					t.Errorf("rejected with %.300q; %d bytes of %d came through", rejected, len(read), len(test.body))
				}
				return
			}
			if rejected == nil || !strings.Contains(rejected.Error(), test.rejection) {
				t.Errorf("rejected with %.300q, want %q in it", rejected, test.rejection)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	deep, most := nested(`{"a":`, "1", "}", maxDepth+1), nested(`{"a":`, "1", "}", maxDepth)
	runLimitTests(t, []limitTest{
		{"JSON at the limit", jsonType, most, ""},
		{"JSON beyond it", jsonType, deep, "exceeded max depth"},
		{"arrays", jsonType, nested("[", "", "]", maxDepth+1), "exceeded max depth"},
		{"arrays that never end", jsonType, strings.Repeat("[", 1<<20), "exceeded max depth"},
		{"no type of content", "", deep, "exceeded max depth"},
		{"a type with a parameter", merge + ";charset=utf-8", deep, "exceeded max depth"},
		{"a merge patch", merge, deep, "exceeded max depth"},
		{"a strategic merge patch", strategic, deep, "exceeded max depth"},
		{"an apply patch", apply, deep, "exceeded max depth"},
		{"a JSON patch", jsonPatch, `[{"op":"add","path":"/a","value":` + deep + `}]`, "exceeded max depth"},
		{"JSON in a string", jsonType, `{"a":"` + strings.ReplaceAll(deep, `"`, `\"`) + `"}`, ""},
		{"brackets in a string", jsonType, `{"a":"` + strings.Repeat(`[{\\`, 1000) + `"}`, ""},
		{"many that are not deep", jsonType, "[" + strings.Repeat("[[]],", 1000) + "[]]", ""},
		{"large and not deep", merge, `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 3_000_000) + `"}}}`, ""},
		{"large and rather deep", merge, nested(`{"a":`, `"`+strings.Repeat("x", 3_000_000)+`"`, "}", 64), "too much at too deep a level"},
		{"long lists merged", strategic, `{"metadata":{"finalizers":[` + strings.Repeat(`"a",`, maxMergedElements) + `"a"]}}`,
			"use server-side apply"},
		{"many labels merged", strategic, `{"metadata":{"labels":{` + strings.Repeat(`"a":"b",`, maxMergedElements+1) + `"a":"b"}}}`, ""},
		{"long lists", jsonType, `[` + strings.Repeat(`"a",`, maxMergedElements) + `"a"]`, ""},
	})
}

func TestLimitsOfYAML(t *testing.T) {
	t.Parallel()
	var block, anchors strings.Builder
	for level := range maxDepth + 1 {
		fmt.Fprintf(&block, "%sa:\n", strings.Repeat(" ", level))
	}
	anchors.WriteString("a0: &a0 " + nested("[", "", "]", 50) + "\n")
	for level := range 10 {
		fmt.Fprintf(&anchors, "a%d: &a%[1]d %s\n", level+1, nested("[", fmt.Sprintf("*a%d", level), "]", 50))
	}
	runLimitTests(t, []limitTest{
		{"flow style", yamlType, nested("[", "", "]", maxDepth+1), "exceeded max depth"},
		{"flow style with keys", yamlType, nested("{a: ", "b", "}", maxDepth+1), "exceeded max depth"},
		{"block style", yamlType, block.String(), "exceeded max depth"},
		{"compact lists", yamlType, strings.Repeat("- ", maxDepth+1) + "a", "exceeded max depth"},
		{"compact lists applied", apply, strings.Repeat("- ", maxDepth+1) + "a", "exceeded max depth"},
		{"compact lists at the limit", yamlType, strings.Repeat("- ", maxDepth) + "a", ""},
		{"depth by aliases", yamlType, anchors.String(), "exceeded max depth"},
		{"brackets in a block of text", yamlType, "a: |\n" + strings.Repeat("  [ {\n", 1000), ""},
		{"directives of YAML", yamlType, strings.Repeat("%TAG !a! b\n", maxDirectives+2) + "--- a", "directives"},
		{"directives in UTF-16", yamlType, strings.Repeat("%\x00T\x00\n\x00", maxDirectives+2), "directives"},
		{"malformed YAML", yamlType, "a: [", ""},
	})
}

func TestLimitsOfJSONPatches(t *testing.T) {
	t.Parallel()
	operations := func(operation string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(operation+",", n), ",") + "]"
	}
	runLimitTests(t, []limitTest{
		{"a depth by paths", jsonPatch, operations(`{"op":"add","path":"`+strings.Repeat("/a", maxDepth+1)+`","value":1}`, 1),
			"exceeded max depth"},
		{"a depth by moves", jsonPatch,
			operations(`{"op":"add","path":"/b","value":{}},{"op":"move","from":"/a","path":"/b/a"},{"op":"move","from":"/b","path":"/a"}`,
				maxLift+1), "exceeded max depth"},
		{"a depth by copies", jsonPatch, operations(`{"op":"copy","from":"/a","path":"/a/b/c/d/e"}`, 20), "exceeded max depth"},
		{"moves on a level", jsonPatch, operations(`{"op":"move","from":"/metadata/labels/a","path":"/metadata/labels/b"}`, 5000), ""},
		{"inserts into a long list", jsonPatch,
			`[{"op":"add","path":"/a","value":[` + strings.Repeat("0,", 500_000) + `0]},` +
				operations(`{"op":"add","path":"/a/0","value":0}`, 9000)[1:], "too many operations"},
		{"many operations", jsonPatch, operations(`{"op":"add","path":"/spec/ports/-","value":{"port":80,"name":"a"}}`, 10_000), ""},
		{"more operations than the handler accepts", jsonPatch,
			operations(`{"op":"add","path":"`+strings.Repeat("/a", maxDepth+1)+`","value":1}`, maxOperations+1), ""},
		{"a malformed JSON patch", jsonPatch, `[{"op":`, ""},
		{"a large value at a long path", jsonPatch,
			operations(`{"op":"add","path":"`+strings.Repeat("/a", 200)+`","value":"`+strings.Repeat("x", 500_000)+`"}`, 1),
			"too much at too deep a level"},
	})
}

func TestLimitsOfNumbers(t *testing.T) {
	t.Parallel()
	runLimitTests(t, []limitTest{
		{"a tiny quantity", jsonType, `{"cpu":"1e-999999999"}`, "exponent below"},
		{"a tiny quantity, escaped", jsonType, `{"cpu":"1\u0065\u002d999999999"}`, "exponent below"},
		{"a tiny quantity as a number", jsonType, `{"cpu":-1.5E-999999999}`, "exponent below"},
		{"a tiny quantity in YAML", yamlType, `cpu: "1e-999999999"`, "exponent below"},
		{"a large quantity of many digits", jsonType, `{"cpu":"1234567890123456789e999999"}`, "exponent above"},
		{"a quantity of very many digits", jsonType, `{"cpu":"` + strings.Repeat("9", maxDigits+1) + `"}`, "more than 4096 digits"},
		{"a common quantity", jsonType, `{"cpu":"1.5e3","memory":"12E6","a":-1.5e-9}`, ""},
		{"a short hash of a commit", jsonType, `{"a":"12e45678","b":"3e99999999"}`, ""},
		{"a UUID", jsonType, `{"a":"4d3c8f1e-1234-4abc-823e-123456789012","b":"1e-99999x"}`, ""},
	})
}

// TestRejectionIsStatus checks the type of the error, since handlers answer with it only
// if it is a Status.
func TestRejectionIsStatus(t *testing.T) {
	t.Parallel()
	_, err := send(t, jsonType, strings.Repeat("[", maxDepth+1))
	if _, ok := err.(apierrors.APIStatus); !ok || !apierrors.IsBadRequest(err) { // As the handlers do.
		t.Errorf("Read returned %T: %v", err, err)
	}
}

func TestProtobufQuantities(t *testing.T) {
	t.Parallel()
	pod := func(quantity string) string {
		// A Quantity cannot hold a string that was never parsed. The encoded Pod gets the
		// string in place of another one of the same length.
		marker := strings.Repeat("7", len(quantity))
		parsed := resource.MustParse(marker[:len(marker)-1] + "1")
		object := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: "p", UID: "4d3c8f1e-1234-4abc-823e-123456789012", Annotations: map[string]string{"a": "x 1e-99999 y"},
			},
			Spec: corev1.PodSpec{Overhead: corev1.ResourceList{"cpu": parsed, "memory": parsed}},
		}
		data, err := object.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if strings.Count(text, parsed.String()) != 2 {
			t.Fatalf("%q is not in %q", parsed.String(), text)
		}
		return strings.Replace(text, parsed.String(), quantity, 1)
	}
	for quantity, wanted := range map[string]bool{
		"1e-999999999": false, "1E-1000": false, "1e-99": true, "100000000m"[:9]: true,
		"12345678901234567": true,
	} {
		body := pod(quantity)
		read, rejected := send(t, protobuf, body)
		if passed := rejected == nil && read == body; passed != wanted {
			t.Errorf("%s: rejected with %v", quantity, rejected)
		}
	}
	// A length may be written with more bytes than it needs.
	if err := checkProtobuf([]byte("\x0a\x8c\x80\x001e-999999999")); err == nil {
		t.Error("a quantity with a long length is not rejected")
	}
}

// FuzzLimits checks that any body passes unchanged or is rejected, and that nothing panics.
func FuzzLimits(f *testing.F) {
	f.Add(jsonType, `{"a":[1,"\u00e9"]}`)
	f.Add(jsonPatch, `[{"op":"add","path":"/a","value":1}]`)
	f.Add(yamlType, "a: &a [b]\nc: *a\n")
	f.Add(protobuf, "\x0a\x041e-9")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		read, rejected := send(t, contentType, body)
		if rejected == nil && read != body {
			t.Errorf("%q came through as %q", body, read)
		}
	})
}
