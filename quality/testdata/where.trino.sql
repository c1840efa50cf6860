-- Rules = [
--     Completeness "close" > 0.9 where "symbol = 'SPY' and primary.volume > 0",
--     Uniqueness "symbol" "note" > 0.5 where "final",
--     RowCount > 3 where "final"
-- ]
SELECT
  count(*) FILTER (WHERE (symbol = 'SPY' and "primary".volume > 0)) AS m0,
  count(*) FILTER (WHERE (symbol = 'SPY' and "primary".volume > 0) AND "close" IS NOT NULL) AS m1,
  count(*) FILTER (WHERE (final)) AS m2
FROM "prod"."bars_1d" AS "primary";

SELECT
  count(*) FILTER (WHERE n = 1) AS m0,
  sum(n) AS m1
FROM (SELECT count(*) AS n FROM "prod"."bars_1d" AS "primary"
  WHERE (final) AND ("symbol" IS NOT NULL OR "note" IS NOT NULL)
  GROUP BY "symbol", "note") AS g;

-- rows that break Completeness "close" > 0.9 where "symbol = 'SPY' and primary.volume > 0"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE ((symbol = 'SPY' and "primary".volume > 0) AND "close" IS NULL);

-- rows that break Uniqueness "symbol" "note" > 0.5 where "final"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM (SELECT *, sum(CASE WHEN (final) AND ("symbol" IS NOT NULL OR "note" IS NOT NULL) THEN 1 ELSE 0 END) OVER (PARTITION BY "symbol", "note") AS "rows with key a" FROM "prod"."bars_1d" AS "primary") AS "primary"
WHERE ((final) AND "rows with key a" > 1 AND ("symbol" IS NOT NULL OR "note" IS NOT NULL));
