package lake

import "os"

// bootID tells one start of the machine from another; empty if it is not known.
// See proc_sys_kernel(5).
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(text)
}
