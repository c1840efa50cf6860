package catalog

import (
	"context"
	"database/sql"
)

// PartitionMeasures gives what the quality gate keeps of the partitions of a table:
// values by aggregate, by the hash of the partition's files.
func (c *Catalog) PartitionMeasures(ctx context.Context, table string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	err := c.query(ctx, "catalog.PartitionMeasures", func(rows *sql.Rows) error {
		var files, aggregate, value string
		if err := rows.Scan(&files, &aggregate, &value); err != nil {
			return err
		}
		if out[files] == nil {
			out[files] = map[string]string{}
		}
		out[files][aggregate] = value
		return nil
	}, "SELECT files, aggregate, value FROM partition_measures WHERE tbl = ?", table)
	return out, err
}

// KeepPartitionMeasures keeps these values of a table and no others, so that what is
// kept is never more than one set of partitions and rules needs.
func (c *Catalog) KeepPartitionMeasures(ctx context.Context, table string, values map[string]map[string]string) error {
	return c.update(ctx, "catalog.KeepPartitionMeasures", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT files, aggregate, value FROM partition_measures WHERE tbl = ?", table)
		if err != nil {
			return err
		}
		defer rows.Close()
		same := map[[2]string]bool{}
		var gone [][2]string
		for rows.Next() {
			var files, aggregate, value string
			if err := rows.Scan(&files, &aggregate, &value); err != nil {
				return err
			}
			key := [2]string{files, aggregate}
			if want, ok := values[files][aggregate]; ok && want == value {
				same[key] = true
			} else {
				gone = append(gone, key)
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, key := range gone {
			if _, err := tx.ExecContext(ctx, "DELETE FROM partition_measures WHERE tbl = ? AND files = ? AND aggregate = ?", table, key[0], key[1]); err != nil {
				return err
			}
		}
		insert, err := tx.PrepareContext(ctx, "INSERT INTO partition_measures (tbl, files, aggregate, value) VALUES (?, ?, ?, ?)")
		if err != nil {
			return err
		}
		defer insert.Close()
		for files, aggregates := range values {
			for aggregate, value := range aggregates {
				if same[[2]string{files, aggregate}] {
					continue
				}
				if _, err := insert.ExecContext(ctx, table, files, aggregate, value); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
