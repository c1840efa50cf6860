package catalog

import (
	"context"
	"database/sql"
)

// maxMeasured is how many values of a metric are kept.
const maxMeasured = 1000

// Measured gives up to n values that a quality metric of a table had in published
// runs, the newest first: in those before a run that is published, in all if it is
// not or is empty.
func (c *Catalog) Measured(ctx context.Context, table, metric, before string, n int) ([]float64, error) {
	var out []float64
	err := c.query(ctx, "catalog.Measured", func(rows *sql.Rows) error {
		var v float64
		err := rows.Scan(&v)
		out = append(out, v)
		return err
	}, `SELECT m.value FROM measured m JOIN publications p USING (run)
		WHERE m.tbl = ?1 AND m.metric = ?2 AND p.seq < coalesce((SELECT seq FROM publications WHERE run = ?3), 9223372036854775807)
		ORDER BY p.seq DESC LIMIT ?4`, table, metric, before, n)
	return out, err
}

// KeepMeasured keeps what a run measured of a table, in place of what it measured
// before. What runs measured that have not been published goes.
func (c *Catalog) KeepMeasured(ctx context.Context, table, run string, values map[string]float64) error {
	return c.update(ctx, "catalog.KeepMeasured", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM measured WHERE tbl = ?1 AND (run = ?2 OR run NOT IN (SELECT run FROM publications))", table, run)
		if err != nil {
			return err
		}
		at := stamp(c.clock())
		for metric, v := range values {
			if _, err := tx.ExecContext(ctx, "INSERT INTO measured (tbl, metric, run, at, value) VALUES (?, ?, ?, ?, ?)", table, metric, run, at, v); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `DELETE FROM measured WHERE tbl = ?1 AND metric = ?2 AND run IN (
				SELECT m.run FROM measured m JOIN publications p USING (run) WHERE m.tbl = ?1 AND m.metric = ?2 ORDER BY p.seq DESC LIMIT -1 OFFSET ?3)`, table, metric, maxMeasured)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
