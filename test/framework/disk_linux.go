package framework

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// diskProgram is the variable of the environment that makes a test binary put
// its syncs under control of its parent and then become the program it names.
const diskProgram = "PORTOLAN_TEST_DISK"

// Disk decides how long the fsync and fdatasync of a server take, and whether
// they fail. The kernel asks this process about each of them (seccomp's user
// notifications, with Linux 5.19 or later), which takes no privileges.
type Disk struct {
	delay atomic.Int64
	errno atomic.Int32
	syncs atomic.Int64
}

// Delay makes each sync from now on take this much longer.
func (d *Disk) Delay(delay time.Duration) { d.delay.Store(int64(delay)) }

// Fail makes each sync from now on fail with an error.
func (d *Disk) Fail(errno syscall.Errno) { d.errno.Store(int32(errno)) }

// Syncs is how many there were.
func (d *Disk) Syncs() int64 { return d.syncs.Load() }

// Serve does what the function Serve does, for a server on this disk.
func (d *Disk) Serve(t testing.TB, dataDir, port string, flags ...string) *Process {
	t.Helper()
	command := serveCommand(t, dataDir, port, flags)
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(sockets[1]), "socket")
	defer theirs.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command.Env = append(command.Env, diskProgram+"="+command.Path)
	command.Path, command.ExtraFiles = self, []*os.File{theirs}
	p := launch(t, dataDir, command, flags)
	notifications, err := receive(sockets[0])
	if err != nil {
		t.Fatalf("the syncs of the server can't be controlled: %v", err)
	}
	var answering sync.WaitGroup
	answering.Go(func() { d.answer(t, notifications) })
	// After the process, which is killed in a cleanup that was registered before.
	t.Cleanup(func() {
		p.Kill(t)
		answering.Wait()
	})
	return p
}

// receive takes the file that notifications come from out of a socket.
func receive(socket int) (int, error) {
	defer unix.Close(socket)
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("the server sent %d messages, error %w", len(messages), err)
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(files) != 1 {
		return 0, fmt.Errorf("the server sent %d files, error %w", len(files), err)
	}
	return files[0], nil
}

// notification and response are struct seccomp_notif and seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	call       [8]uint64
}

type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// answer answers each notification in its time, until the process has ended.
func (d *Disk) answer(t testing.TB, notifications int) {
	defer unix.Close(notifications)
	var pending sync.WaitGroup
	defer pending.Wait()
	for {
		polled := []unix.PollFd{{Fd: int32(notifications), Events: unix.POLLIN}}
		if _, err := unix.Poll(polled, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			t.Error(err)
			return
		}
		if polled[0].Revents&unix.POLLIN == 0 {
			return
		}
		var n notification
		// The thread may have been killed since.
		if err := control(notifications, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); err != nil {
			continue
		}
		d.syncs.Add(1)
		pending.Go(func() {
			time.Sleep(time.Duration(d.delay.Load()))
			r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
			if errno := d.errno.Load(); errno != 0 {
				r = response{id: n.id, errno: -errno}
			}
			if err := control(notifications, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); err != nil && !errors.Is(err, unix.ENOENT) {
				t.Errorf("a sync can't be answered: %v", err)
			}
		})
	}
}

func control(file int, request uint, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(file), uintptr(request), uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

// becomeControlled makes this process the program of the environment, with its
// syncs under control of the parent. It returns only if it can't.
func becomeControlled(path string) error {
	// The filter is the thread's, and exec leaves no other.
	runtime.LockOSThread()
	if err := os.Unsetenv(diskProgram); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	const (
		load      = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		jumpEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		result    = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{
		{Code: load, K: 0}, // the number of the call
		{Code: jumpEqual, K: unix.SYS_FSYNC, Jt: 2},
		{Code: jumpEqual, K: unix.SYS_FDATASYNC, Jt: 1},
		{Code: result, K: unix.SECCOMP_RET_ALLOW},
		{Code: result, K: unix.SECCOMP_RET_USER_NOTIF},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	listener, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	// The first of the extra files.
	const socket = 3
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(int(listener)), nil, 0); err != nil {
		return err
	}
	unix.CloseOnExec(socket)
	unix.CloseOnExec(int(listener))
	return syscall.Exec(path, os.Args, os.Environ())
}

// becomeProgram runs the program that diskProgram names, with its syncs under control, if
// the variable is set.
func becomeProgram() (asked bool, err error) {
	path, asked := os.LookupEnv(diskProgram)
	if !asked {
		return false, nil
	}
	return true, becomeControlled(path)
}
