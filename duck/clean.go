package duck

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/lake"
)

// splitGroup is the number of rows in a row group of the split. Each thread gathers
// that many rows of every part in memory before it writes them, so it is small.
const splitGroup = "20480"

// maxDocument is the longest line that is read, above catalog.MaxLine.
const maxDocument = "8388608"

// Clean splits raw rows into folder outcome=O/tbl=T/part=P of the task's folder. The
// rows pass through once, unsorted; each part is sorted alone, by Merge, so that
// memory is bound by the largest part and not by the run.
func (e *Engine) Clean(ctx context.Context, task lake.CleanTask) (lake.CleanResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out lake.CleanResult
	if err := empty(task.Dir); err != nil {
		return out, engineError("duck.Clean", err)
	}
	fields := make([]string, len(tickerlake.RawFields))
	for i, f := range tickerlake.RawFields {
		fields[i] = quote(f) + ": 'VARCHAR'"
	}
	raw := "SELECT filename AS object, * EXCLUDE (filename) FROM read_json(" + list(task.Files) + ", format = 'newline_delimited', compression = 'gzip', hive_partitioning = false, columns = {" +
		strings.Join(fields, ", ") + "}, records = true, filename = true, maximum_object_size = " + maxDocument + ")"
	err := e.run(ctx, "COPY (WITH raw AS ("+raw+") SELECT * FROM ("+task.Select+`)) TO `+quote(task.Dir)+
		" (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE "+splitGroup+", PARTITION_BY (outcome, tbl, part), WRITE_PARTITION_COLUMNS true, OVERWRITE_OR_IGNORE)")
	if err != nil {
		return out, err
	}
	parts, all, err := splitFiles(task.Dir)
	if err != nil || len(all) == 0 {
		return out, engineError("duck.Clean", err)
	}
	if out.Parts, err = e.parts(ctx, all, parts); err != nil {
		return out, err
	}
	out.Groups, err = e.groups(ctx, out.Parts)
	return out, err
}

// splitFiles lists the files that were written, all and by outcome, table and part.
func splitFiles(dir string) (map[[3]string][]string, []string, error) {
	parts := map[[3]string][]string{}
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rest, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		var key [3]string
		for i, segment := range strings.SplitN(filepath.ToSlash(rest), "/", 4)[:3] {
			_, key[i], _ = strings.Cut(segment, "=")
		}
		parts[key] = append(parts[key], path)
		all = append(all, path)
		return nil
	})
	return parts, all, err
}

func (e *Engine) parts(ctx context.Context, all []string, files map[[3]string][]string) ([]lake.Part, error) {
	_, rows, err := e.query(ctx, `SELECT outcome, tbl, part, count(*), coalesce(min(symbol), ''), coalesce(max(symbol), ''), min(ts), max(ts) FROM `+
		e.Relation(all)+" GROUP BY ALL ORDER BY ALL")
	if err != nil {
		return nil, err
	}
	out := make([]lake.Part, len(rows))
	for i, r := range rows {
		p := lake.Part{Outcome: text(r[0]), Table: text(r[1]), Partition: text(r[2]), Rows: r[3].(int64),
			MinSymbol: text(r[4]), MaxSymbol: text(r[5]), MinTs: moment(r[6]), MaxTs: moment(r[7])}
		p.Files = files[[3]string{p.Outcome, p.Table, p.Partition}]
		out[i] = p
	}
	return out, nil
}

func (e *Engine) groups(ctx context.Context, parts []lake.Part) ([]lake.Group, error) {
	var files []string
	for _, p := range parts {
		if p.Outcome != lake.OutcomeRejected {
			files = append(files, p.Files...)
		}
	}
	if len(files) == 0 {
		return nil, nil
	}
	_, rows, err := e.query(ctx, `SELECT tbl, symbol, "interval", source, basis, currency, fetch_id, fetched_at, min(ts), max(ts), count(*), outcome, object FROM `+
		e.Relation(files)+" GROUP BY ALL ORDER BY tbl, symbol, fetched_at, fetch_id, outcome, object")
	if err != nil {
		return nil, err
	}
	out := make([]lake.Group, len(rows))
	for i, r := range rows {
		out[i] = lake.Group{Table: text(r[0]), Symbol: text(r[1]), Interval: text(r[2]), Source: text(r[3]), Basis: text(r[4]),
			Currency: text(r[5]), FetchID: text(r[6]), FetchedAt: moment(r[7]), MinTs: moment(r[8]), MaxTs: moment(r[9]), Rows: r[10].(int64), Outcome: text(r[11]), Object: text(r[12])}
	}
	return out, nil
}

func text(v any) string { s, _ := v.(string); return s }

func moment(v any) time.Time { t, _ := v.(time.Time); return t.UTC() }
