package netns

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/128")}

func TestMain(m *testing.M) {
	Enter(addresses...)
	os.Exit(m.Run())
}

// TestAlone finds the addresses, and nobody else's.
func TestAlone(t *testing.T) {
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			t.Errorf("%s is up", i.Name)
		}
	}
	for _, address := range []string{"127.0.0.1", "192.0.2.1", "192.0.2.77", "::1", "2001:db8::1"} {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, "6443"))
		if err != nil {
			t.Error(err)
			continue
		}
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Error(err)
			continue
		}
		conn.Close()
		listener.Close()
	}
	if conn, err := net.Dial("tcp", "198.51.100.1:6443"); err == nil {
		t.Errorf("reached %v", conn.RemoteAddr())
	}
}

// TestPossible tries to make more namespaces: here that could be done before.
func TestPossible(t *testing.T) {
	t.Setenv(stage, "")
	if err := Possible(); err != nil {
		t.Error(err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := Possible(); err == nil {
		t.Error("nothing could have been tried")
	}
}

// TestExitCode passes on how the copy of a program ended.
func TestExitCode(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	outside := exec.Command(self, "-test.run=^$", "-test.nosuchflag")
	outside.Env = append(os.Environ(), stage+"=")
	if err := outside.Run(); err == nil || outside.ProcessState.ExitCode() != 2 {
		t.Errorf("a copy that ended with 2: %v", err)
	}
}

// TestReplace finds an empty directory in the place of one, which nobody else
// does.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Replace(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	})
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("found %v, %v", entries, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " "+dir+" ") {
			found = true
			if strings.Contains(line, " shared:") {
				t.Errorf("others see it, too: %s", line)
			}
		}
	}
	if !found {
		t.Errorf("not among the mounts: %s", mounts)
	}
}
