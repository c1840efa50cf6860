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
	return e.write(ctx, task)
}

// copy writes the rows of a SELECT, sorted by symbol and ts, and returns their number.
func (e *Engine) copy(ctx context.Context, rows, path string, columns []lake.Column) (int64, error) {
	return e.write(ctx, lake.WriteTask{Select: rows, File: path, Columns: columns})
}

// write writes one Parquet file with Iceberg's field ids.
func (e *Engine) write(ctx context.Context, task lake.WriteTask) (int64, error) {
	rows := "(" + task.Select + ")"
	if !task.Unsorted {
		rows += " ORDER BY symbol, ts"
	}
	var ids []string
	for _, c := range task.Columns {
		if c.ID != 0 {
			ids = append(ids, fmt.Sprintf("%s: %d", quote(c.Name), c.ID))
		}
	}
	return e.number(ctx, "COPY (SELECT * FROM "+rows+") TO "+quote(task.File)+
		" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, FIELD_IDS {"+strings.Join(ids, ", ")+"})")
}
