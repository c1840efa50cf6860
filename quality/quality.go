// Package quality reads rules in the Data Quality Definition Language (DQDL) of AWS
// Glue and judges tables by them.
//
// Parse turns the text of a ruleset into a tree with positions; every mistake is
// reported by line and column. An Engine is given a Querier that runs SQL, the
// Dialect it speaks and a clock; Evaluate compiles the rules to as few statements
// as it can, runs them on a Target and hands on a Result in the shape of Glue's.
// Violations gives the statement that selects the rows a rule objects to.
//
// A Target may come in Parts, and an Engine keep in a State what it measured of them:
// then only parts that have changed are read.
//
// Rules on files ask Files, functions such as avg(last(10)) and DetectAnomalies a
// History of what earlier evaluations measured: what a Result has as Statistics. Check
// says what a ruleset has that no evaluation could judge.
//
// Sources: the DQDL reference of the AWS Glue guide, and for what it leaves open
// AWS's own parser and executor (awslabs/dqdl, awslabs/deequ). docs/quality.md
// tells the language as understood here.
package quality
