package harness

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends a program when this process ends, however that ends.
func dieWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
