package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// allowed is the last part of every refusal.
const allowed = "one SELECT (with WITH, VALUES, UNION, ..), SHOW TABLES, SHOW SCHEMAS, DESCRIBE or SUMMARIZE is allowed"

// A Statement is a statement that may run.
type Statement struct {
	// Tables are the tables that it names, each once, in the order of the request.
	Tables []Table
	// Show, if not nil, is the whole answer: the statement was SHOW TABLES or the
	// like, and there is nothing to run.
	Show *Shown
}

// Shown is a small result that is known without an engine.
type Shown struct {
	Columns []Column
	Rows    [][]any
}

// Check decides whether the statement of r may run. Serialized is what DuckDB's
// json_serialize_sql made of r.SQL; it is walked against a list of what is known
// to be harmless, so that whatever is new in it is refused.
//
// Errors: Invalid if it is not SQL, NotFound if a table is not known, Denied for
// everything that is not allowed.
func Check(r Request, serialized []byte) (*Statement, error) {
	var doc struct {
		Error      bool
		Type       string `json:"error_type"`
		Message    string `json:"error_message"`
		Position   json.RawMessage
		Statements []map[string]any
	}
	d := json.NewDecoder(bytes.NewReader(serialized))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return nil, tickerlake.Errorf(tickerlake.Denied, "query.Check", "", "the statement cannot be examined: %w; %s", err, allowed)
	}
	c := &checker{request: r, path: r.path(), used: map[string]bool{}}
	switch {
	case doc.Error && doc.Type == "parser":
		at := ""
		if n, err := json.Number(bytes.Trim(doc.Position, `"`)).Int64(); err == nil {
			at = c.at(n)
		}
		return nil, tickerlake.Errorf(tickerlake.Invalid, "query.Check", "", "%s%s", at, doc.Message)
	case doc.Error && strings.HasPrefix(doc.Message, "Only SELECT"):
		return nil, tickerlake.Errorf(tickerlake.Denied, "query.Check", "", "%s is refused; %s", Verb(r.SQL), allowed)
	case doc.Error:
		return nil, tickerlake.Errorf(tickerlake.Denied, "query.Check", "", "the statement cannot be examined: %s; %s", doc.Message, allowed)
	case len(doc.Statements) == 0:
		return nil, tickerlake.Errorf(tickerlake.Invalid, "query.Check", "", "there is no statement; %s", allowed)
	case len(doc.Statements) > 1:
		return nil, tickerlake.Errorf(tickerlake.Denied, "query.Check", "", "%d statements are refused; %s", len(doc.Statements), allowed)
	}
	node, _ := doc.Statements[0]["node"].(map[string]any)
	if node == nil {
		return nil, c.refuse(nil, "a statement without a body")
	}
	if show, err := c.show(node); show != nil || err != nil {
		return &Statement{Show: show}, err
	}
	if err := c.walk(doc.Statements[0], nil); err != nil {
		return nil, err
	}
	st := &Statement{}
	for _, t := range r.Tables {
		if c.used[t.String()] {
			st.Tables = append(st.Tables, t)
		}
	}
	return st, nil
}

// Verb is the first word of the statement in upper case, past comments, for
// messages.
func Verb(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n;(")
		switch {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			_, sql, _ = strings.Cut(sql, "*/")
		default:
			end := 0
			for end < len(sql) && end < 32 && (sql[end]|0x20 >= 'a' && sql[end]|0x20 <= 'z' || sql[end] == '_') {
				end++
			}
			if end == 0 {
				return "this statement"
			}
			return strings.ToUpper(sql[:end])
		}
	}
}

// A checker walks one serialized statement.
type checker struct {
	request Request
	path    []string
	used    map[string]bool
}

// A scope is the names of common table expressions that are in reach.
type scope struct {
	name  string
	outer *scope
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		if strings.EqualFold(s.name, name) {
			return true
		}
	}
	return false
}

// at writes a byte offset of the statement as "line 1, column 8: ".
func (c *checker) at(offset int64) string {
	sql := c.request.SQL
	if offset < 0 || offset > int64(len(sql)) {
		return ""
	}
	before := sql[:offset]
	return fmt.Sprintf("line %d, column %d: ", strings.Count(before, "\n")+1,
		len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))+1)
}

func (c *checker) position(o map[string]any) string {
	if n, ok := o["query_location"].(json.Number); ok {
		if at, err := n.Int64(); err == nil {
			return c.at(at)
		}
	}
	return ""
}

func (c *checker) refuse(o map[string]any, format string, args ...any) error {
	return tickerlake.Errorf(tickerlake.Denied, "query.Check", "", "%s%s is refused; %s", c.position(o), fmt.Sprintf(format, args...), allowed)
}

// walk examines v, any part of a statement.
func (c *checker) walk(v any, s *scope) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := c.walk(e, s); err != nil {
				return err
			}
		}
	case map[string]any:
		return c.object(v, s)
	}
	return nil
}

func (c *checker) object(o map[string]any, s *scope) error {
	if _, expression := o["class"]; expression {
		return c.expression(o, s)
	}
	switch t := o["type"].(type) {
	case nil:
	case string:
		switch {
		case t == "SELECT_NODE" || t == "SET_OPERATION_NODE":
			return c.query(o, s)
		case t == "RECURSIVE_CTE_NODE":
			name, _ := o["cte_name"].(string)
			return c.query(o, &scope{name, s})
		case t == "BASE_TABLE":
			return c.table(o, s)
		case t == "TABLE_FUNCTION":
			return c.tableFunction(o, s)
		case t == "SHOW_REF":
			if kind := o["show_type"]; kind != "DESCRIBE" && kind != "SUMMARY" {
				return c.refuse(o, "SHOW inside another statement")
			}
		case !parts[t]:
			return c.refuse(o, "%s", t)
		}
	case map[string]any: // the type of a constant
	default:
		return c.refuse(o, "a part of unknown type")
	}
	if id, ok := o["id"]; ok {
		return c.logicalType(o, id)
	}
	return c.members(o, s)
}

// query examines a query with its common table expressions, each of which sees
// those before it.
func (c *checker) query(o map[string]any, s *scope) error {
	ctes, _ := o["cte_map"].(map[string]any)
	entries, _ := ctes["map"].([]any)
	for _, e := range entries {
		e, _ := e.(map[string]any)
		name, ok := e["key"].(string)
		if !ok {
			return c.refuse(o, "WITH without a name")
		}
		if err := c.walk(e["value"], s); err != nil {
			return err
		}
		s = &scope{name, s}
	}
	return c.members(o, s)
}

// members examines all values of o but those of its WITH, and refuses keys that
// are not known.
func (c *checker) members(o map[string]any, s *scope) error {
	for _, key := range sortedKeys(o) {
		switch {
		case !keys[key]:
			return c.refuse(o, "%q in a statement", key)
		case key == "cte_map":
		case key == "named_param_map":
			if list, _ := o[key].([]any); len(list) > 0 {
				return c.refuse(o, "a parameter ($1 or ?)")
			}
		case key == "at_clause" && o[key] != nil:
			return c.refuse(o, "AT, reading a table as of a time,")
		default:
			if err := c.walk(o[key], s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) expression(o map[string]any, s *scope) error {
	class, _ := o["class"].(string)
	if !classes[class] {
		return c.refuse(o, "%s", strings.ToLower(strings.ReplaceAll(class, "_", " ")))
	}
	switch class {
	case "CONSTANT": // a value holds no names; its type is looked at
		value, _ := o["value"].(map[string]any)
		t, _ := value["type"].(map[string]any)
		return c.logicalType(t, t["id"])
	case "FUNCTION", "WINDOW":
		scalar, _ := functions()
		if err := c.function(o, scalar, "function"); err != nil {
			return err
		}
	case "OPERATOR":
		if t, _ := o["type"].(string); !operators[t] {
			return c.refuse(o, "the operator %s", t)
		}
	case "COLUMN_REF":
		if names, _ := o["column_names"].([]any); len(names) == 1 {
			if name, _ := names[0].(string); session[lower(name)] {
				return c.refuse(o, "%s", name)
			}
		}
	}
	return c.members(o, s)
}

func (c *checker) function(o map[string]any, set map[string]bool, kind string) error {
	name, _ := o["function_name"].(string)
	schema, _ := o["schema"].(string)
	if catalog, _ := o["catalog"].(string); catalog != "" || schema != "" && schema != "main" {
		return c.refuse(o, "%s(..) with something before a dot", schema+"."+name)
	}
	if !set[lower(name)] {
		return c.refuse(o, "the %s %s", kind, name)
	}
	return nil
}

func (c *checker) tableFunction(o map[string]any, s *scope) error {
	_, set := functions()
	f, _ := o["function"].(map[string]any)
	if f["class"] != "FUNCTION" {
		return c.refuse(o, "a table function of this form")
	}
	if err := c.function(f, set, "table function"); err != nil {
		return err
	}
	if err := c.members(f, s); err != nil {
		return err
	}
	for _, key := range sortedKeys(o) {
		if !keys[key] {
			return c.refuse(o, "%q in a statement", key)
		}
		if key != "function" {
			if err := c.walk(o[key], s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) table(o map[string]any, s *scope) error {
	catalog, _ := o["catalog_name"].(string)
	schema, _ := o["schema_name"].(string)
	name, ok := o["table_name"].(string)
	if !ok || catalog != "" {
		return c.refuse(o, "the table %s.%s.%s", catalog, schema, name)
	}
	if schema == "" && s.has(name) {
		return c.members(o, s)
	}
	t := find(c.request.Tables, c.path, schema, name)
	if t == nil {
		return c.unknown(o, schema, name)
	}
	if t.Refused != "" {
		return tickerlake.Errorf(tickerlake.Denied, "query.Check", t.String(), "%s", t.Refused)
	}
	c.used[t.String()] = true
	return c.members(o, s)
}

// unknown is the error for a table that is not there. What looks like a file is
// refused as such.
func (c *checker) unknown(o map[string]any, schema, name string) error {
	if strings.ContainsAny(name, "/\\*?:") || schema == "" && strings.Contains(name, ".") {
		return c.refuse(o, "the file %q as a table", name)
	}
	if schema != "" {
		name = schema + "." + name
	}
	list := make([]string, 0, len(c.request.Tables))
	for _, t := range c.request.Tables {
		list = append(list, t.String())
	}
	slices.Sort(list)
	known := "there are none yet: run a workflow first"
	if len(list) > 0 {
		known = "there are " + strings.Join(list, ", ")
	}
	return tickerlake.Errorf(tickerlake.NotFound, "query.Check", "", "%sno table %s; %s", c.position(o), name, known)
}

func (c *checker) logicalType(o map[string]any, id any) error {
	name, _ := id.(string)
	info, _ := o["type_info"].(map[string]any)
	if name == "UNBOUND" {
		name, _ = info["name"].(string)
		name = strings.ToUpper(name)
		if schema, _ := info["schema"].(string); schema != "" {
			return c.refuse(nil, "the type %s.%s", schema, name)
		}
	}
	if !types[strings.ReplaceAll(name, " ", "_")] {
		return c.refuse(nil, "the type %s", name)
	}
	return c.nestedTypes(info)
}

// nestedTypes examines the types that a type is made of.
func (c *checker) nestedTypes(v any) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := c.nestedTypes(e); err != nil {
				return err
			}
		}
	case map[string]any:
		if v["extension_info"] != nil {
			return c.refuse(nil, "a type of an extension")
		}
		if id, ok := v["id"]; ok {
			return c.logicalType(v, id)
		}
		for _, key := range sortedKeys(v) {
			if err := c.nestedTypes(v[key]); err != nil {
				return err
			}
		}
	}
	return nil
}
