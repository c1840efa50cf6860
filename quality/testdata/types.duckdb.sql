-- Rules = [
--     ColumnLength "note" between 1 and 9,
--     ColumnLength "note" not in [0, 4],
--     ColumnDataType "note" = "INTEGER",
--     ColumnDataType "note" in ["DATE", "TIMESTAMP"] with threshold > 0.9,
--     ColumnDataType "note" != "DECIMAL(10,2)",
--     ColumnDataType "close" = "BOOLEAN"
-- ]
SELECT
  count(*) AS m0,
  count(*) FILTER (WHERE (COALESCE(length("note"), 0) > 1 AND COALESCE(length("note"), 0) < 9)) AS m1,
  min(COALESCE(length("note"), 0)) AS m2,
  max(COALESCE(length("note"), 0)) AS m3,
  count(*) FILTER (WHERE (NOT (COALESCE(length("note"), 0) IN (0, 4)))) AS m4,
  count(*) FILTER (WHERE (regexp_full_match("note", '(?-s:\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]*)\s*)') AND TRY_CAST(COALESCE(NULLIF(regexp_extract("note", '^\s*(-)', 1), ''), '') || COALESCE(NULLIF(regexp_extract("note", '^\s*[+-]?([0-9]+)', 1), ''), '0') AS INTEGER) IS NOT NULL)) AS m5,
  count(*) FILTER (WHERE (NOT COALESCE(regexp_full_match("note", '(?-s:\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*)') AND TRY_CAST(trim("note") AS DECIMAL(10,2)) IS NOT NULL, FALSE))) AS m6,
  count(*) FILTER (WHERE ("close" IS NOT NULL)) AS m7
FROM "prod"."bars_1d" AS "primary";

-- rows that break ColumnLength "note" between 1 and 9
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(COALESCE(length("note"), 0) > 1 AND COALESCE(length("note"), 0) < 9, FALSE));

-- rows that break ColumnLength "note" not in [0, 4]
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(NOT (COALESCE(length("note"), 0) IN (0, 4)), FALSE));

-- rows that break ColumnDataType "note" = "INTEGER"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(regexp_full_match("note", '(?-s:\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]*)\s*)') AND TRY_CAST(COALESCE(NULLIF(regexp_extract("note", '^\s*(-)', 1), ''), '') || COALESCE(NULLIF(regexp_extract("note", '^\s*[+-]?([0-9]+)', 1), ''), '0') AS INTEGER) IS NOT NULL, FALSE));

-- rows that break ColumnDataType "note" != "DECIMAL(10,2)"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(NOT COALESCE(regexp_full_match("note", '(?-s:\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*)') AND TRY_CAST(trim("note") AS DECIMAL(10,2)) IS NOT NULL, FALSE), FALSE));

-- rows that break ColumnDataType "close" = "BOOLEAN"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("close" IS NOT NULL, FALSE));
