package lake

// CompleteSQL is the SELECT of the fetches that are complete: fetch_id, fetched_at and
// symbol, and from the first to the last ts of all their rows of the symbol. answer is a
// relation of all their rows, whatever their outcome, each once: fetch_id, fetched_at,
// symbol, ts, row.
//
// An answer is complete between its first and its last row if no row between them is
// missing or without a key, and if the times go one way.
func CompleteSQL(answer string) string {
	return `SELECT fetch_id, fetched_at, symbol, min(ts) AS first_ts, max(ts) AS last_ts
FROM (SELECT *, ts - lag(ts) OVER (PARTITION BY fetch_id, fetched_at, symbol ORDER BY "row") AS step FROM ` + answer + `) a
WHERE fetch_id NOT IN (SELECT fetch_id FROM ` + answer + ` WHERE ts IS NULL)
AND (fetch_id, fetched_at) IN (SELECT (fetch_id, fetched_at) FROM ` + answer + ` GROUP BY fetch_id, fetched_at
	HAVING count(*) = max("row") - min("row") + 1 AND count(*) = count(DISTINCT "row"))
GROUP BY fetch_id, fetched_at, symbol HAVING coalesce(min(step) >= INTERVAL 0 SECOND, true) OR max(step) <= INTERVAL 0 SECOND`
}
