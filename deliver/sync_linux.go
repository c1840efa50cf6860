package deliver

import (
	"os"
	"syscall"
)

// syncData brings a file's data and size to disk, without its times.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
