-- Rules = [
--     ColumnValues "close" between 0 and 100,
--     ColumnValues "volume" in [1, 007, NULL],
--     ColumnValues "amount" != -0.10,
--     ColumnValues "close" not between 1 and 2 * 3,
--     ColumnValues "close" <= 5,
--     ColumnValues "close" = 5,
--     ColumnValues "note" not in [5]
-- ]
SELECT
  count(*) AS m0,
  count(*) FILTER (WHERE (("close" > 0E+00 OR is_nan("close")) AND "close" < 1E+02)) AS m1,
  count(*) FILTER (WHERE ("volume" IS NULL OR "volume" = 1 OR "volume" = 7)) AS m2,
  count(*) FILTER (WHERE ("amount" IS NULL OR NOT ("amount" = -0.10))) AS m3,
  count(*) FILTER (WHERE ("close" <= 1E+00 OR ("close" >= 6E+00 OR is_nan("close")))) AS m4,
  count(*) FILTER (WHERE ("close" <= 5E+00)) AS m5,
  CASE WHEN count(*) FILTER (WHERE is_nan("close")) > 0 THEN nan() ELSE max("close") FILTER (WHERE NOT is_nan("close")) END AS m6,
  count(*) FILTER (WHERE ("close" = 5E+00)) AS m7,
  COALESCE(min("close") FILTER (WHERE NOT is_nan("close")), min("close")) AS m8,
  count(*) FILTER (WHERE ("note" IS NULL OR NOT (COALESCE(TRY_CAST("note" AS DOUBLE) = 5E+00, FALSE)))) AS m9
FROM "prod"."bars_1d" AS "primary";

-- rows that break ColumnValues "close" between 0 and 100
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(("close" > 0E+00 OR is_nan("close")) AND "close" < 1E+02, FALSE));

-- rows that break ColumnValues "volume" in [1, 007, NULL]
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("volume" IS NULL OR "volume" = 1 OR "volume" = 7, FALSE));

-- rows that break ColumnValues "amount" != -0.10
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("amount" IS NULL OR NOT ("amount" = -0.10), FALSE));

-- rows that break ColumnValues "close" not between 1 and 2 * 3
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("close" <= 1E+00 OR ("close" >= 6E+00 OR is_nan("close")), FALSE));

-- rows that break ColumnValues "close" <= 5
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("close" <= 5E+00, FALSE));

-- rows that break ColumnValues "close" = 5
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("close" = 5E+00, FALSE));

-- rows that break ColumnValues "note" not in [5]
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("note" IS NULL OR NOT (COALESCE(TRY_CAST("note" AS DOUBLE) = 5E+00, FALSE)), FALSE));
