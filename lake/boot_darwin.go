package lake

import "syscall"

// bootID tells one start of the machine from another; empty if it is not known.
func bootID() string {
	id, err := syscall.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
