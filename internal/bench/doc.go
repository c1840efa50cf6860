// Package bench measures the way from raw objects to published tables beside bare
// DuckDB doing the least that the same result takes. It holds tests only: each
// measured piece of work runs alone in a child process, so that its peak of memory
// is its own. See docs/performance.md.
package bench
