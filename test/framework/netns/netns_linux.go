package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// stage is the variable of the environment that says how far a process is.
	stage = "PORTOLAN_TEST_NETNS"
	// made is the stage of the copy in a namespace without addresses, and ready
	// that of the copy with them and of all that it starts.
	made, ready = "made", "ready"
	// routeTimeout is how long the kernel may take to know a new address.
	routeTimeout = 30 * time.Second
)

// Enter runs this program again in new namespaces for the network, processes and
// mounts, and ends with its exit code. In that copy it puts the addresses onto
// the loopback device and returns; in what the copy starts it returns at once. All of an IPv4 prefix
// is the machine's own then, of an IPv6 prefix the one address. Whatever the
// copy starts ends with it. TestMain calls this before anything else.
func Enter(addresses ...netip.Prefix) {
	var err error
	switch os.Getenv(stage) {
	case ready:
	case made:
		err = errors.Join(setUp(addresses), os.Setenv(stage, ready))
	default:
		var code int
		if code, err = run(); err == nil {
			os.Exit(code)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Possible says why Enter can't make namespaces here; it returns nil if it can, and
// in the copy.
func Possible() error {
	if os.Getenv(stage) != "" {
		return nil
	}
	tried := exec.Command("true")
	tried.SysProcAttr = attributes()
	if err := tried.Run(); err != nil {
		return fmt.Errorf("a network namespace can't be made here: %w", err)
	}
	return nil
}

// attributes are those of a process in new namespaces.
func attributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{
		// Being the first process of its namespace, it takes along what it started.
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if id := os.Geteuid(); id != 0 {
		attributes.Cloneflags |= syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attributes
}

// run returns the exit code of a copy of this program in new namespaces.
func run() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	// The copy is to be killed when this process ends, for which the kernel
	// looks at the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	copied := exec.Command(self, os.Args[1:]...)
	copied.Env = append(os.Environ(), stage+"="+made)
	copied.Stdin, copied.Stdout, copied.Stderr = os.Stdin, os.Stdout, os.Stderr
	copied.SysProcAttr = attributes()
	if err := copied.Start(); err != nil {
		return 0, fmt.Errorf("these tests need a network namespace of their own, which can't be made here: %w; "+
			"run them as root with CAP_SYS_ADMIN, or allow user namespaces (the sysctls user.max_user_namespaces and kernel.apparmor_restrict_unprivileged_userns)", err)
	}
	// go test asks for stacks with a signal when time is up.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	ended := make(chan error, 1)
	go func() { ended <- copied.Wait() }()
	for {
		select {
		case s := <-signals:
			if err := copied.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return 0, err
			}
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, err
			}
			// It is -1 for one that was killed.
			return max(copied.ProcessState.ExitCode(), -copied.ProcessState.ExitCode()), nil
		}
	}
}

// Replace puts an empty directory in the place of one that is there, for this
// program and what it starts, after Enter. Nobody else sees it.
func Replace(dir string) error {
	// What is mounted would be seen outside, too, where mounts are shared.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0700"); err != nil {
		return fmt.Errorf("mounting an empty directory on %s: %w", dir, err)
	}
	return nil
}

// setUp puts addresses onto the loopback device and brings it up.
func setUp(addresses []netip.Prefix) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("the loopback device of the new network namespace: %w", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("bringing up the loopback device of the new network namespace: %w", err)
	}
	for _, prefix := range addresses {
		address, err := netlink.ParseAddr(prefix.String())
		if err != nil {
			return err
		}
		// Nobody else is there to have an IPv6 address already.
		address.Flags = syscall.IFA_F_NODAD
		if err := netlink.AddrAdd(loopback, address); err != nil {
			return fmt.Errorf("adding %s to the loopback device of the new network namespace: %w", prefix, err)
		}
		if err := awaitLocal(prefix.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// awaitLocal waits until an address is the machine's own: an IPv6 address can be
// listened on before the kernel has the route to it.
func awaitLocal(address netip.Addr) error {
	timeout := time.NewTimer(routeTimeout)
	defer timeout.Stop()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		routes, err := netlink.RouteGet(address.AsSlice())
		if err == nil && len(routes) > 0 && routes[0].Type == syscall.RTN_LOCAL {
			return nil
		}
		select {
		case <-ticker.C:
		case <-timeout.C:
			return errors.Join(fmt.Errorf("the new address %s is not the machine's own after %v: its routes are %v", address, routeTimeout, routes),
				err)
		}
	}
}
