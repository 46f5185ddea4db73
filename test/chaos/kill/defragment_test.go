package kill

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// defragmentDir is the environment variable that makes a test binary defragment
// the store in a data directory again and again. A server defragments only
// files that are larger than those of tests.
const defragmentDir = "PORTOLAN_KILL_DEFRAGMENT"

// maxDefragment is the longest time until the process is killed; one
// defragmentation takes a tenth of it.
const maxDefragment = 200 * time.Millisecond

// defragment returns on an error. It exits when its parent has ended.
func defragment(dir string) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	config := embed.NewConfig()
	config.Name, config.Dir = "portolan", filepath.Join(dir, "etcd")
	config.ListenClientUrls, config.ListenPeerUrls = nil, nil
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	member, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	<-member.Server.ReadyNotify()
	fmt.Println("defragmenting")
	for {
		if err := member.Server.Backend().Defrag(); err != nil {
			return err
		}
	}
}

// killDefragmenting kills a process during a defragmentation.
func (s *store) killDefragmenting(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env, command.Stderr = append(os.Environ(), defragmentDir+"="+s.dir()), os.Stderr
	if _, err := command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
		t.Errorf("nothing is defragmented: %v", err)
	}
	time.Sleep(time.Duration(s.random.Int64N(int64(maxDefragment))))
	if err := command.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := command.Wait(); command.ProcessState.Exited() {
		t.Errorf("the process ended by itself: %v", err)
	}
}
