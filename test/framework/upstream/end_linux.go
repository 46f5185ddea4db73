package upstream

import (
	"os"
	"os/exec"
	"syscall"
)

// EndWithParent makes the kernel kill a program when this process ends, however it ends. The
// kernel waits for the end of the thread that started the program, and tests in namespaces of
// their own (package netns) end threads. There the kernel kills all processes with the first.
func EndWithParent(command *exec.Cmd) {
	if os.Getpid() == 1 {
		return
	}
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
