-- Rules = [
--     ColumnValues "ts" <= now(),
--     ColumnValues "ts" between "2016-01-01" and (now() + 2 days),
--     ColumnValues "seen" > (now() - 2 hours),
--     ColumnValues "note" != "2016-01-01",
--     DataFreshness "seen" not between 1 hours and 2 days
-- ]
SELECT
  count(*) AS m0,
  count(*) FILTER (WHERE (CAST("ts" AS DATE) <= DATE '2026-11-24')) AS m1,
  count(*) FILTER (WHERE (CAST("ts" AS DATE) > DATE '2016-01-01' AND CAST("ts" AS DATE) < DATE '2026-11-26')) AS m2,
  count(*) FILTER (WHERE (CAST("seen" AT TIME ZONE 'UTC' AS TIMESTAMP(6)) > TIMESTAMP '2026-11-24 10:00:00.000000')) AS m3,
  count(*) FILTER (WHERE ("note" IS NULL OR NOT (COALESCE(CASE WHEN regexp_like("note", '\A(?:\s*[0-9]{4,7}(-[0-9]{1,2}(-[0-9]{1,2}([ T][\s\S]*)?)?)?\s*)\z') THEN TRY_CAST(NULLIF(regexp_extract("note", '^\s*([0-9]{4,7})', 1), '') || '-' || lpad(COALESCE(NULLIF(regexp_extract("note", '^\s*[0-9]{4,7}-([0-9]{1,2})', 1), ''), '1'), 2, '0') || '-' || lpad(COALESCE(NULLIF(regexp_extract("note", '^\s*[0-9]{4,7}-[0-9]{1,2}-([0-9]{1,2})', 1), ''), '1'), 2, '0') AS DATE) END = DATE '2016-01-01', FALSE)))) AS m4,
  count(*) FILTER (WHERE (CAST("seen" AT TIME ZONE 'UTC' AS TIMESTAMP(6)) >= TIMESTAMP '2026-11-24 11:00:00.000000' OR CAST("seen" AT TIME ZONE 'UTC' AS TIMESTAMP(6)) <= TIMESTAMP '2026-11-22 12:00:00.000000')) AS m5
FROM "prod"."bars_1d" AS "primary";

-- rows that break ColumnValues "ts" <= now()
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(CAST("ts" AS DATE) <= DATE '2026-11-24', FALSE));

-- rows that break ColumnValues "ts" between "2016-01-01" and (now() + 2 days)
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(CAST("ts" AS DATE) > DATE '2016-01-01' AND CAST("ts" AS DATE) < DATE '2026-11-26', FALSE));

-- rows that break ColumnValues "seen" > (now() - 2 hours)
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(CAST("seen" AT TIME ZONE 'UTC' AS TIMESTAMP(6)) > TIMESTAMP '2026-11-24 10:00:00.000000', FALSE));

-- rows that break ColumnValues "note" != "2016-01-01"
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE("note" IS NULL OR NOT (COALESCE(CASE WHEN regexp_like("note", '\A(?:\s*[0-9]{4,7}(-[0-9]{1,2}(-[0-9]{1,2}([ T][\s\S]*)?)?)?\s*)\z') THEN TRY_CAST(NULLIF(regexp_extract("note", '^\s*([0-9]{4,7})', 1), '') || '-' || lpad(COALESCE(NULLIF(regexp_extract("note", '^\s*[0-9]{4,7}-([0-9]{1,2})', 1), ''), '1'), 2, '0') || '-' || lpad(COALESCE(NULLIF(regexp_extract("note", '^\s*[0-9]{4,7}-[0-9]{1,2}-([0-9]{1,2})', 1), ''), '1'), 2, '0') AS DATE) END = DATE '2016-01-01', FALSE)), FALSE));

-- rows that break DataFreshness "seen" not between 1 hours and 2 days
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT COALESCE(CAST("seen" AT TIME ZONE 'UTC' AS TIMESTAMP(6)) >= TIMESTAMP '2026-11-24 11:00:00.000000' OR CAST("seen" AT TIME ZONE 'UTC' AS TIMESTAMP(6)) <= TIMESTAMP '2026-11-22 12:00:00.000000', FALSE));
