-- Rules = [
--     ColumnValues "symbol" in ["O'Neil", EMPTY, NULL],
--     ColumnValues "symbol" not in [WHITESPACES_ONLY],
--     ColumnValues "symbol" matches "[A-Z.]+" with threshold > 0.9,
--     ColumnValues "symbol" not matches "x",
--     ColumnValues "close" = "100",
--     ColumnValues "final" = "true"
-- ]
SELECT
  count(*) AS m0,
  count(*) FILTER (WHERE ("symbol" IS NULL OR "symbol" = 'O''Neil' OR "symbol" = '')) AS m1,
  count(*) FILTER (WHERE ("symbol" IS NULL OR NOT (regexp_like("symbol", '\A(?:[\s\x0B]+)\z')))) AS m2,
  count(*) FILTER (WHERE ("symbol" <> '' AND regexp_like("symbol", '\A(?:[A-Z.]+)\z'))) AS m3,
  count(*) FILTER (WHERE ("symbol" <> '' AND NOT regexp_like("symbol", '\A(?:x)\z'))) AS m4,
  count(*) FILTER (WHERE (COALESCE("close" = TRY_CAST('100' AS DOUBLE), FALSE))) AS m5,
  count(*) FILTER (WHERE (COALESCE("final" = TRY_CAST('true' AS BOOLEAN), FALSE))) AS m6
FROM "prod"."bars_1d" AS "primary";

-- rows that break ColumnValues "symbol" in ["O'Neil", EMPTY, NULL]
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("symbol" IS NULL OR "symbol" = 'O''Neil' OR "symbol" = '', FALSE));

-- rows that break ColumnValues "symbol" not in [WHITESPACES_ONLY]
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("symbol" IS NULL OR NOT (regexp_like("symbol", '\A(?:[\s\x0B]+)\z')), FALSE));

-- rows that break ColumnValues "symbol" matches "[A-Z.]+" with threshold > 0.9
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("symbol" <> '' AND regexp_like("symbol", '\A(?:[A-Z.]+)\z'), FALSE));

-- rows that break ColumnValues "symbol" not matches "x"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("symbol" <> '' AND NOT regexp_like("symbol", '\A(?:x)\z'), FALSE));

-- rows that break ColumnValues "close" = "100"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(COALESCE("close" = TRY_CAST('100' AS DOUBLE), FALSE), FALSE));

-- rows that break ColumnValues "final" = "true"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(COALESCE("final" = TRY_CAST('true' AS BOOLEAN), FALSE), FALSE));
