-- Rules = [
--     RowCount > 0,
--     IsPrimaryKey "symbol" "ts",
--     IsComplete "close",
--     ColumnValues "close" > 0,
--     DataFreshness "ts" <= 4 days
-- ]
SELECT
  count(*) AS m0,
  count(*) FILTER (WHERE "symbol" IS NOT NULL) AS m1,
  count(*) FILTER (WHERE "ts" IS NOT NULL) AS m2,
  count(*) FILTER (WHERE "close" IS NOT NULL) AS m3,
  count(*) FILTER (WHERE (("close" > 0E+00 OR is_nan("close")))) AS m4,
  COALESCE(min("close") FILTER (WHERE NOT is_nan("close")), min("close")) AS m5,
  count(*) FILTER (WHERE ("ts" >= TIMESTAMP '2026-11-20 12:00:00.000000')) AS m6
FROM "prod"."bars_1d" AS "primary";

SELECT
  count(*) FILTER (WHERE n = 1) AS m0,
  sum(n) AS m1
FROM (SELECT count(*) AS n FROM "prod"."bars_1d" AS "primary"
  WHERE ("symbol" IS NOT NULL OR "ts" IS NOT NULL)
  GROUP BY "symbol", "ts") AS g;

-- rows that break IsPrimaryKey "symbol" "ts"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM (SELECT *, sum(CASE WHEN ("symbol" IS NOT NULL OR "ts" IS NOT NULL) THEN 1 ELSE 0 END) OVER (PARTITION BY "symbol", "ts") AS "rows with key a" FROM "prod"."bars_1d" AS "primary") AS "primary"
WHERE (("rows with key a" > 1 AND ("symbol" IS NOT NULL OR "ts" IS NOT NULL) OR "symbol" IS NULL OR "ts" IS NULL));

-- rows that break IsComplete "close"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE ("close" IS NULL);

-- rows that break ColumnValues "close" > 0
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(("close" > 0E+00 OR is_nan("close")), FALSE));

-- rows that break DataFreshness "ts" <= 4 days
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("ts" >= TIMESTAMP '2026-11-20 12:00:00.000000', FALSE));
