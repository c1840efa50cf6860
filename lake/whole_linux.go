package lake

import (
	"syscall"
	"time"
)

// changed is the last change of a file or of what is known of it, which no program sets.
func changed(st *syscall.Stat_t) time.Time { return time.Unix(st.Ctim.Unix()) }
