//go:build !linux

package duck

import "syscall"

// processAttributes puts the child in a group of its own. It ends with its parent
// because its standard input does.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// limitMemory does nothing: DuckDB's own limit is the only bound here.
func limitMemory(uint64) error { return nil }
