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
  count(*) FILTER (WHERE (COALESCE(length("note"), 0) IS NULL OR NOT (COALESCE(length("note"), 0) = 0 OR COALESCE(length("note"), 0) = 4))) AS m4,
  count(*) FILTER (WHERE (("note" IS NOT NULL AND COALESCE((regexp_like("note", '\A(?:[\x00-\x20]*[+-]?[0-9]+(?:\.[0-9]*)?[\x00-\x20]*)\z') AND TRY_CAST(regexp_extract("note", '([+-]?[0-9]+)', 1) AS DECIMAL(38,0)) BETWEEN -2147483648 AND 2147483647 OR regexp_like("note", '\A(?:[\x00-\x20]*[+-]?\.[0-9]*[\x00-\x20]*)\z')), FALSE)))) AS m5,
  count(*) FILTER (WHERE (("note" IS NOT NULL AND COALESCE((regexp_like("note", '\A(?:[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:[ T](?s:.*))?)?)?[\x00-\x20]*)\z') AND COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) BETWEEN 1 AND 12 AND COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 3), '') AS INTEGER), 1) BETWEEN 1 AND CASE WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) IN (4, 6, 9, 11) THEN 30 WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) = 2 AND (COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 4 = 0 AND (COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 100 <> 0 OR COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 400 = 0)) THEN 29 WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) = 2 THEN 28 ELSE 31 END), FALSE)) OR ("note" IS NOT NULL AND COALESCE((regexp_like("note", '\A(?:[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:[ T](?:[01]?[0-9]|2[0-3])(?::[0-5]?[0-9](?::[0-5]?[0-9](?:\.[0-9]{0,9})?)?)? ?(?:Z|UTC|GMT|(?:UTC|GMT)?[+-][0-9]{1,2}(?::?[0-9]{2})?|[A-Z][A-Za-z]+/[A-Za-z_/]+)?)?)?)?[\x00-\x20]*)\z') AND COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) BETWEEN 1 AND 12 AND COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 3), '') AS INTEGER), 1) BETWEEN 1 AND CASE WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) IN (4, 6, 9, 11) THEN 30 WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) = 2 AND (COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 4 = 0 AND (COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 100 <> 0 OR COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 400 = 0)) THEN 29 WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) = 2 THEN 28 ELSE 31 END), FALSE)))) AS m6,
  count(*) FILTER (WHERE (NOT (("note" IS NOT NULL AND COALESCE((regexp_like("note", '\A(?:[\x00-\x20]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[\x00-\x20]*)\z') AND TRY_CAST(trim("note") AS DECIMAL(10,2)) IS NOT NULL), FALSE))))) AS m7,
  count(*) FILTER (WHERE (("close" IS NOT NULL AND COALESCE(TRUE, FALSE)))) AS m8
FROM "prod"."bars_1d" AS "primary";

-- rows that break ColumnLength "note" between 1 and 9
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT (COALESCE(length("note"), 0) > 1 AND COALESCE(length("note"), 0) < 9));

-- rows that break ColumnLength "note" not in [0, 4]
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT (COALESCE(length("note"), 0) IS NULL OR NOT (COALESCE(length("note"), 0) = 0 OR COALESCE(length("note"), 0) = 4)));

-- rows that break ColumnDataType "note" = "INTEGER"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(("note" IS NOT NULL AND COALESCE((regexp_like("note", '\A(?:[\x00-\x20]*[+-]?[0-9]+(?:\.[0-9]*)?[\x00-\x20]*)\z') AND TRY_CAST(regexp_extract("note", '([+-]?[0-9]+)', 1) AS DECIMAL(38,0)) BETWEEN -2147483648 AND 2147483647 OR regexp_like("note", '\A(?:[\x00-\x20]*[+-]?\.[0-9]*[\x00-\x20]*)\z')), FALSE)), FALSE));

-- rows that break ColumnDataType "note" in ["DATE", "TIMESTAMP"] with threshold > 0.9
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(("note" IS NOT NULL AND COALESCE((regexp_like("note", '\A(?:[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:[ T](?s:.*))?)?)?[\x00-\x20]*)\z') AND COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) BETWEEN 1 AND 12 AND COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 3), '') AS INTEGER), 1) BETWEEN 1 AND CASE WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) IN (4, 6, 9, 11) THEN 30 WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) = 2 AND (COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 4 = 0 AND (COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 100 <> 0 OR COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 400 = 0)) THEN 29 WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) = 2 THEN 28 ELSE 31 END), FALSE)) OR ("note" IS NOT NULL AND COALESCE((regexp_like("note", '\A(?:[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:[ T](?:[01]?[0-9]|2[0-3])(?::[0-5]?[0-9](?::[0-5]?[0-9](?:\.[0-9]{0,9})?)?)? ?(?:Z|UTC|GMT|(?:UTC|GMT)?[+-][0-9]{1,2}(?::?[0-9]{2})?|[A-Z][A-Za-z]+/[A-Za-z_/]+)?)?)?)?[\x00-\x20]*)\z') AND COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) BETWEEN 1 AND 12 AND COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 3), '') AS INTEGER), 1) BETWEEN 1 AND CASE WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) IN (4, 6, 9, 11) THEN 30 WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) = 2 AND (COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 4 = 0 AND (COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 100 <> 0 OR COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 1), '') AS INTEGER), 1) % 400 = 0)) THEN 29 WHEN COALESCE(TRY_CAST(NULLIF(regexp_extract("note", '^[\x00-\x20]*[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?', 2), '') AS INTEGER), 1) = 2 THEN 28 ELSE 31 END), FALSE)), FALSE));

-- rows that break ColumnDataType "note" != "DECIMAL(10,2)"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(NOT (("note" IS NOT NULL AND COALESCE((regexp_like("note", '\A(?:[\x00-\x20]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[\x00-\x20]*)\z') AND TRY_CAST(trim("note") AS DECIMAL(10,2)) IS NOT NULL), FALSE))), FALSE));

-- rows that break ColumnDataType "close" = "BOOLEAN"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(("close" IS NOT NULL AND COALESCE(TRUE, FALSE)), FALSE));
