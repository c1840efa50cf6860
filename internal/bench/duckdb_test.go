package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tickerlake/tickerlake/duck"
)

// columns are the types that bare DuckDB reads a document's fields as, without any
// judgement: a value of another type ends it.
const columns = `{symbol: 'VARCHAR', ts: 'TIMESTAMP', open: 'DOUBLE', high: 'DOUBLE', low: 'DOUBLE', close: 'DOUBLE',
	adj_close: 'DOUBLE', volume: 'DOUBLE', currency: 'VARCHAR', basis: 'VARCHAR', source: 'VARCHAR', "final": 'BOOLEAN',
	fetched_at: 'TIMESTAMP', fetch_id: 'VARCHAR', "row": 'BIGINT'}`

const newest = ` QUALIFY row_number() OVER (PARTITION BY symbol, ts ORDER BY fetched_at DESC, fetch_id DESC, "row" DESC) = 1`

const parquet = ` (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)`

func documents(t task) string {
	return "read_json(['" + strings.Join(t.Objects, "', '") + "'], format = 'newline_delimited', compression = 'gzip', columns = " + columns + ")"
}

// bareOneShot reads, de-duplicates, sorts and writes in one statement and to one file.
func bareOneShot(ctx context.Context, t task) (outcome, error) {
	e := duck.NewEngine(duck.EngineOptions{Spill: filepath.Join(t.Dir, "tmp"), MemoryMB: t.MemoryMB})
	c := start()
	n, err := copied(ctx, e, "COPY (SELECT * EXCLUDE (\"row\") FROM (SELECT * FROM "+documents(t)+newest+") ORDER BY symbol, ts) TO '"+
		filepath.Join(t.Dir, "bars.parquet")+"'"+parquet)
	c.step("all")
	c.out.Rows = n
	return c.out, errors.Join(err, e.Close())
}

// bareSplit does the same in two statements a year, so that no year's rows exceed
// the memory: it splits by year, then de-duplicates, sorts and writes each.
func bareSplit(ctx context.Context, t task) (outcome, error) {
	e := duck.NewEngine(duck.EngineOptions{Spill: filepath.Join(t.Dir, "tmp"), MemoryMB: t.MemoryMB})
	c := start()
	split := filepath.Join(t.Dir, "split")
	_, err := copied(ctx, e, "COPY (SELECT *, year(ts) AS part FROM "+documents(t)+") TO '"+split+
		"' (FORMAT parquet, COMPRESSION lz4_raw, PARTITION_BY (part))")
	c.step("split")
	if err != nil {
		return c.out, errors.Join(err, e.Close())
	}
	years, err := filepath.Glob(filepath.Join(split, "part=*"))
	for _, year := range years {
		n, failed := copied(ctx, e, "COPY (SELECT * EXCLUDE (\"row\") FROM (SELECT * FROM read_parquet('"+year+"/*.parquet', hive_partitioning = false)"+newest+
			") ORDER BY symbol, ts) TO '"+filepath.Join(t.Dir, filepath.Base(year)+".parquet")+"'"+parquet)
		if err = errors.Join(err, failed); err != nil {
			break
		}
		c.out.Rows += n
	}
	c.step("sort")
	return c.out, errors.Join(err, e.Close())
}

// copied runs a COPY and gives its number of rows.
func copied(ctx context.Context, e *duck.Engine, statement string) (int64, error) {
	_, rows, err := e.Query(ctx, statement)
	if err != nil {
		return 0, err
	}
	n, ok := rows[0][0].(int64)
	if !ok {
		return 0, fmt.Errorf("COPY answered %v", rows)
	}
	return n, nil
}
