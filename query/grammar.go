package query

import (
	"maps"
	"slices"
	"strings"
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// What a serialized statement of DuckDB 1.5 may be made of. Whatever is not here
// is refused, so a newer DuckDB is examined before its additions work.
var (
	// classes are the kinds of expressions; not PARAMETER, DEFAULT or any that
	// only a bound statement has.
	classes = set(`BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION
		LAMBDA LAMBDA_REF OPERATOR POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW`)

	operators = set(`ARRAY_CONSTRUCTOR ARRAY_EXTRACT ARRAY_SLICE COMPARE_IN COMPARE_NOT_IN
		GROUPING_FUNCTION OPERATOR_COALESCE OPERATOR_IS_NOT_NULL OPERATOR_IS_NULL OPERATOR_NOT
		OPERATOR_NULLIF OPERATOR_TRY OPERATOR_UNPACK STRUCT_EXTRACT`)

	// parts are the types of what is neither an expression nor a query: tables,
	// modifiers, orders.
	parts = set(`EMPTY EXPRESSION_LIST JOIN PIVOT SUBQUERY SHOW_REF
		DISTINCT_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER ORDER_MODIFIER
		ASCENDING DESCENDING ORDER_DEFAULT`)

	// types are the names of values' types.
	types = set(`ARRAY BIGINT BIGNUM BIT BLOB BOOLEAN CHAR DATE DECIMAL DOUBLE ENUM FLOAT HUGEINT
		INTEGER INTEGER_LITERAL INTERVAL JSON LIST MAP NULL SMALLINT STRING_LITERAL STRUCT TIME
		TIMESTAMP TIMESTAMP_MS TIMESTAMP_NS TIMESTAMP_S TINYINT UBIGINT UHUGEINT UINTEGER UNION
		USMALLINT UTINYINT UUID VARCHAR TIMESTAMP_WITH_TIME_ZONE TIME_WITH_TIME_ZONE`)

	// keys are the members that objects may have.
	keys = set(`aggregate_handling aggregates alias aliases arg_orders at_clause case_checks cast_type
		catalog catalog_name child children class collation column column_name_alias column_names columns
		comparison_type condition cte_map cte_name default_expr delim_flipped distinct
		distinct_on_targets duplicate_eliminated_columns else_expr end end_expr entries exclude_clause
		exclude_list expected_names expected_types export_state expr expression filter filter_expr
		from_table function function_name group_expressions group_sets groups having identifier
		ignore_nulls include_nulls index input is_null is_operator is_percentage join_type key
		key_targets left lhs limit lower map materialized method modifiers name named_param_map node
		null_order offset offset_expr order_bys orders partitions pivot_enum pivot_expressions pivots
		qualified_exclude_list qualify query query_location ref_type relation_name rename_list
		replace_list right sample sample_size schema schema_name seed select_list setop_all setop_type
		show_type source star_expr start start_expr subquery subquery_type table table_name then_expr
		try_cast type union_all unpivot_names upper user_type_modifiers using_columns value values
		when_expr where_clause with_ordinality`)

	// session are names that, where no column has them, tell about the session.
	session = set(`current_catalog current_database current_role current_schema current_user session_user user`)
)

// lower is strings.ToLower for ASCII, as the engine folds names.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// sortedKeys makes the walk, and with it the error, the same each time.
func sortedKeys(o map[string]any) []string { return slices.Sorted(maps.Keys(o)) }
