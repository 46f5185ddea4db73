//go:build linux && e2e

package failover

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// leading reports whether a replica runs the controllers.
func (r *replica) leading(ctx context.Context) (bool, error) {
	metrics, err := r.text(ctx, "/metrics")
	return strings.Contains(metrics, "\nportolan_controllers_leading 1\n"), err
}

// awaitLeader waits until exactly one of some replicas leads, and returns it.
func awaitLeader(t testing.TB, among ...*replica) (leader *replica) {
	t.Helper()
	await(t, "one replica leads", func(ctx context.Context) error {
		var leaders []*replica
		for _, r := range among {
			leads, err := r.leading(ctx)
			if err != nil {
				return err
			}
			if leads {
				leaders = append(leaders, r)
			}
		}
		if len(leaders) != 1 {
			return fmt.Errorf("%d replicas lead", len(leaders))
		}
		leader = leaders[0]
		return nil
	})
	return leader
}

func except(all []*replica, one *replica) []*replica {
	return slices.DeleteFunc(slices.Clone(all), func(r *replica) bool { return r == one })
}

// TestLeaderOfTheControllers cuts the replica that runs the controllers off
// from etcd, and kills the next leader. Each time another replica takes over,
// and the one that is cut off stops.
func TestLeaderOfTheControllers(t *testing.T) {
	elected := portolan
	elected.command = func(t testing.TB, dir, port, etcdServers string) *exec.Cmd {
		command := portolan.command(t, dir, port, etcdServers)
		command.Args = append(command.Args, "--controllers",
			// A busy machine may delay a leader for seconds, and it must not lose the
			// lease for that.
			"--leader-elect-lease-duration=10s", "--leader-elect-renew-deadline=7s", "--leader-elect-retry-period=200ms")
		return command
	}
	c := startCluster(t, &elected, replicas)
	first := awaitLeader(t, c.replicas...)
	heal := c.separate(first.name, c.memberNames(), passage{hole: true})
	second := awaitLeader(t, except(c.replicas, first)...)
	await(t, first.name+" stops", func(ctx context.Context) error {
		if leads, err := first.leading(ctx); err != nil || leads {
			return errors.Join(err, errors.New("it leads"))
		}
		return nil
	})
	heal()
	c.awaitWell(t)
	if leader := awaitLeader(t, c.replicas...); leader != second {
		t.Errorf("%s leads after %s is back, want still %s", leader.name, first.name, second.name)
	}
	second.kill(t)
	killed := time.Now()
	awaitLeader(t, except(c.replicas, second)...)
	t.Logf("another replica leads %v after the leader was killed", time.Since(killed).Round(time.Millisecond))
}
