package duck

import (
	"context"
	"fmt"
	"strings"

	"github.com/tickerlake/tickerlake/lake"
)

// Write writes the rows of a SELECT. What does not fit in memory is sorted on disk.
func (e *Engine) Write(ctx context.Context, task lake.WriteTask) (int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.copy(ctx, task.Select, task.File, task.Columns)
}

// copy writes the rows of a SELECT, sorted by symbol and ts, as one Parquet file
// with Iceberg's field ids, and returns their number.
func (e *Engine) copy(ctx context.Context, rows, path string, columns []lake.Column) (int64, error) {
	var ids []string
	for _, c := range columns {
		if c.ID != 0 {
			ids = append(ids, fmt.Sprintf("%q: %d", c.Name, c.ID))
		}
	}
	return e.number(ctx, "COPY (SELECT * FROM ("+rows+") ORDER BY symbol, ts) TO "+quote(path)+
		" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, FIELD_IDS {"+strings.Join(ids, ", ")+"})")
}
