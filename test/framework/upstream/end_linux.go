package upstream

import (
	"os/exec"
	"syscall"
)

// EndWithParent makes the kernel kill a program when this process ends, however it ends.
func EndWithParent(command *exec.Cmd) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
