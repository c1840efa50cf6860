package backup

import (
	"os"
	"syscall"
)

// fadviseDontNeed is POSIX_FADV_DONTNEED.
const fadviseDontNeed = 4

// forget asks the system to let go of a file's pages. It is advice: not taken, what is
// read back comes from memory.
func forget(file *os.File) {
	_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, file.Fd(), 0, 0, fadviseDontNeed, 0, 0)
}
