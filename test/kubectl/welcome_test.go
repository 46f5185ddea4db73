package kubectl

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/harness"
)

// TestWelcome types what a server that turns ready says to type next.
func TestWelcome(t *testing.T) {
	t.Parallel()
	for name, serveCore := range map[string]bool{"service/hello": true, "service.portolan.dev/hello": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := harness.StartAll(t, func(o *options.Options) { o.ServeCore = &serveCore })
			k := with(t, server)
			var steps []string
			err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
				said := server.Output()
				for line := range strings.Lines(said) {
					if step, ok := strings.CutPrefix(line, "  "); ok {
						steps = append(steps, strings.TrimSpace(step))
					}
				}
				return strings.HasSuffix(said, "\n\n") && len(steps) > 0, nil
			})
			if err != nil {
				t.Fatalf("%v: the server says\n%s", err, server.Output())
			}
			out := k.shell("set -e -o pipefail\n" + strings.Join(steps, "\n") + "\necho all done")
			k.expect(out, name+" created", "NodePort", "/hello", "nodeportrange.portolan.dev/kubernetes", "all done")
		})
	}
}
