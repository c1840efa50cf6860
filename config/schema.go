package config

import _ "embed"

// SchemaFile is the name under which init puts the schema beside the pipeline file.
const SchemaFile = "tickerlake.schema.json"

// The schema is made of the stages' Config structs: see schema_test.go.
//
//go:generate go test . -run TestSchema|TestReference -update
//go:embed tickerlake.schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of the pipeline file, for editors. It
// knows keys, types, ranges and forms; what only the stages can tell (rules, jq,
// prefixes, files of symbols) Load alone finds.
func Schema() []byte { return schema }
