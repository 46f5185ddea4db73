//go:build linux && e2e

package failover

import (
	"context"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	runVariable  = "PORTOLAN_FAILOVER_RUN"
	holdVariable = "PORTOLAN_FAILOVER_HOLD"
	paceVariable = "PORTOLAN_FAILOVER_PACE"
)

func TestMain(m *testing.M) { framework.Main(m) }

// TestFaults injects one fault after the other into three replicas under load,
// and then checks all answers.
func TestFaults(t *testing.T) {
	c := startCluster(t, kindUnderTest(t), replicas)
	c.underFaults(t)
	if c.kind.claims {
		c.checkHistory(t)
		c.verify(t)
		c.expectAllFree(t)
	}
}

// underFaults runs the faults one by one while clients write.
func (c *cluster) underFaults(t *testing.T) {
	t.Helper()
	hold := duration(t, holdVariable, 4*time.Second)
	wanted, err := regexp.Compile(os.Getenv(runVariable))
	if err != nil {
		t.Fatal(err)
	}
	seed, upstream := framework.Seed(t), readRecord(t)
	c.answers.begin("start")
	watches := c.watch(t)
	stop := c.load(t, seed, duration(t, paceVariable, c.kind.pace))
	for _, f := range faults {
		if !wanted.MatchString(f.name) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			phase := c.answers.begin(f.name)
			began := time.Now()
			heal := f.do(t, c)
			last(t.Context(), time.Until(began.Add(hold)))
			heal()
			healed := time.Now()
			c.awaitWell(t)
			took := time.Since(healed)
			c.answers.begin("after it")
			t.Logf("well again after %v; %s", took.Round(time.Millisecond), c.answers.text(phase))
			if !c.kind.claims {
				upstream.add(t, f.name, c.answers.unusual(phase))
				return
			}
			c.verify(t)
			if _, recorded := upstream[f.name]; !recorded {
				t.Errorf("%s has nothing on this fault", recordFile)
			}
			c.answers.expect(t, phase, upstream.of(f.breaks))
		})
		if t.Failed() {
			break
		}
	}
	stop()
	if c.kind.claims {
		c.answers.expectSettled(t)
		watches.compare(t)
	}
}

// last waits while a fault lasts.
func last(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}
