-- Rules = [
--     CustomSql "select count(*) from primary join reference using (symbol)" = 0,
--     CustomSql "select symbol, ts from primary where close > 0 -- all" with threshold > 0.9,
--     CustomSql "select count(*) from OPS.runs r where x.ops.runs = 'ops.runs' and ops.runs.state = 1" = 0
-- ]
WITH "primary" AS (SELECT * FROM "prod"."bars_1d"),
"reference" AS (SELECT * FROM "prod"."reference")
SELECT * FROM (
select count(*) from "primary" join reference using (symbol)
) AS q;

WITH "primary" AS (SELECT * FROM "prod"."bars_1d")
SELECT * FROM (
select symbol, ts from "primary" where close > 0
) AS q LIMIT 0;

WITH "primary" AS (SELECT * FROM "prod"."bars_1d")
SELECT CAST(COALESCE(sum("in table") FILTER (WHERE "in statement" > 0), 0) AS BIGINT) AS given, CAST(COALESCE(sum("in table"), 0) AS BIGINT) AS of_rows
FROM (SELECT sum("in table") AS "in table", sum("in statement") AS "in statement" FROM (
SELECT "symbol", "ts", 1 AS "in table", 0 AS "in statement" FROM "primary"
UNION ALL
SELECT "symbol", "ts", 0, 1 FROM (
select symbol, ts from "primary" where close > 0
) AS q
) AS u GROUP BY "symbol", "ts") AS g;

WITH "primary" AS (SELECT * FROM "prod"."bars_1d"),
"ops.runs" AS (SELECT * FROM "ops"."runs")
SELECT * FROM (
select count(*) from "ops.runs" r where x.ops.runs = 'ops.runs' and "ops.runs".state = 1
) AS q;

-- rows that break CustomSql "select symbol, ts from primary where close > 0 -- all" with threshold > 0.9
WITH "primary" AS (SELECT * FROM "prod"."bars_1d")
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT EXISTS (SELECT 1 FROM (
select symbol, ts from "primary" where close > 0
) AS q WHERE q."symbol" IS NOT DISTINCT FROM "primary"."symbol" AND q."ts" IS NOT DISTINCT FROM "primary"."ts"));
