package query

import (
	"slices"
	"strings"
)

// show answers a statement that is SHOW TABLES [FROM database], SHOW ALL TABLES,
// SHOW SCHEMAS or SHOW DATABASES from the tables of the request; for any other it
// is nil.
func (c *checker) show(node map[string]any) (*Shown, error) {
	from, _ := node["from_table"].(map[string]any)
	if from["type"] != "SHOW_REF" {
		return nil, nil
	}
	what, _ := from["table_name"].(string)
	database, _ := from["schema_name"].(string)
	catalog, _ := from["catalog_name"].(string)
	switch kind := from["show_type"]; {
	case kind == "DESCRIBE" || kind == "SUMMARY":
		return nil, nil
	case catalog != "":
		return nil, c.refuse(from, "SHOW in the catalog %s", catalog)
	case kind == "SHOW_FROM":
		return c.showTables(func(t Table) bool { return strings.EqualFold(t.Database, database) }), nil
	case kind == "SHOW_UNQUALIFIED" && (what == `"tables"` || what == "__show_tables_expanded"):
		return c.showTables(func(Table) bool { return true }), nil
	case kind == "SHOW_UNQUALIFIED" && (what == `"schemas"` || what == `"databases"`):
		return c.showDatabases(), nil
	}
	return nil, c.refuse(from, "SHOW %s", strings.Trim(what, `"_`))
}

func (c *checker) showTables(match func(Table) bool) *Shown {
	s := &Shown{Columns: []Column{{"database", "VARCHAR"}, {"name", "VARCHAR"}, {"format", "VARCHAR"}}, Rows: [][]any{}}
	for _, t := range c.request.Tables {
		if match(t) {
			s.Rows = append(s.Rows, []any{t.Database, t.Name, t.Format})
		}
	}
	slices.SortFunc(s.Rows, func(a, b []any) int {
		return strings.Compare(a[0].(string)+"\x00"+a[1].(string), b[0].(string)+"\x00"+b[1].(string))
	})
	return s
}

func (c *checker) showDatabases() *Shown {
	s := &Shown{Columns: []Column{{"database", "VARCHAR"}}, Rows: [][]any{}}
	names := slices.Clone(c.path)
	for _, t := range c.request.Tables {
		names = append(names, t.Database)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		s.Rows = append(s.Rows, []any{name})
	}
	return s
}
