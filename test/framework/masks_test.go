package framework

import (
	"regexp"
	"testing"
)

// TestMasks checks what each expression matches in whole, and that it matches nothing else.
func TestMasks(t *testing.T) {
	t.Parallel()
	for pattern, texts := range map[string]map[string]string{
		UIDs: {
			`uid: 0f8fad5b-d9cb-469f-a165-70867728950e,`: `uid: X,`,
			"0f8fad5b-d9cb-469f-a165":                    "0f8fad5b-d9cb-469f-a165",
		},
		Times: {
			`["a:12","2026-12-02T22:47:43Z"]`:         `["a:12","X"]`,
			`"renewTime":"2026-12-02T22:47:43.1234Z"`: `"renewTime":"X"`,
			`2026-12-02T22:47:43+01:00`:               `X`,
			`2026-12-02 22:47:43 +0000 UTC`:           `X UTC`,
			`Wed, 02 Dec 2026 22:47:43 +0000`:         `X`,
			`1999-01-01T00:00:00Z`:                    `1999-01-01T00:00:00Z`,
			`2026-12-02`:                              `2026-12-02`,
		},
		Ages: {
			"web   0s":                 "web   X",
			"web 119s a":               "web X a",
			"2m":                       "X",
			"2m1s":                     "X",
			"10m":                      "X",
			"72h":                      "72h",
			"services":                 "services",
			"cpu500m2":                 "cpu500m2",
			"timeoutSeconds: 10800":    "timeoutSeconds: 10800",
			`"web","ClusterIP","179m"`: `"web","ClusterIP","X"`,
		},
	} {
		for text, want := range texts {
			if got := regexp.MustCompile(pattern).ReplaceAllString(text, "X"); got != want {
				t.Errorf("%s becomes %s, want %s", text, got, want)
			}
		}
	}
}
