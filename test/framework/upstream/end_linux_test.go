package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parentOf names a program that the test binary launches and waits for.
const parentOf = "PORTOLAN_TEST_PARENT_OF"

func TestMain(m *testing.M) {
	if program := os.Getenv(parentOf); program != "" {
		os.Exit(runParent(program))
	}
	os.Exit(m.Run())
}

func runParent(program string) int {
	child, err := Launch("child", os.TempDir(), program, "3600")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(child.cmd.Process.Pid)
	<-child.Ended()
	return 0
}

// TestEndWithParent kills a process that has launched a program. The program ends too.
func TestEndWithParent(t *testing.T) {
	t.Parallel()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), parentOf+"="+sleep, "TMPDIR="+t.TempDir())
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(startTimeout); !ended(child); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("the child %d still runs", child)
		}
	}
}

// ended reports whether a process is gone, or waits only for its parent to ask how it ended.
func ended(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) || strings.Contains(string(stat), ") Z ")
}
