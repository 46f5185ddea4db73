package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

func TestRun(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	var out bytes.Buffer
	if err := run(t.Context(), server.Config, &out); err != nil {
		t.Fatal(err)
	}
	const address = `10\.\d+\.\d+\.\d+`
	want := regexp.MustCompile(`^added    (example-\w+) ClusterIP (` + address + `)\n` +
		`updated  example-\w+ NodePort ` + address + `\n` +
		`deleted  example-\w+ NodePort ` + address + `\n$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got:\n%s", out.String())
	}
}
