package duck

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// processAttributes puts the child in a group of its own and has the kernel end
// it with its parent. SIGTERM, not SIGKILL: the child removes its scratch folder.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// limitMemory bounds the memory that the process may have written to, which is
// what it has now and so many bytes more. DuckDB's own limit is the first bound;
// this one holds for what DuckDB does not count.
func limitMemory(more uint64) error {
	now, err := dataSize()
	if err != nil {
		return err
	}
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: now + more, Max: now + more})
}

// dataSize is VmData of the process in bytes, which RLIMIT_DATA bounds.
func dataSize() (uint64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if value, ok := strings.CutPrefix(s.Text(), "VmData:"); ok {
			kb, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, os.ErrNotExist
}
