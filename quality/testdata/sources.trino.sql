-- Rules = [
--     RowCountMatch "reference" = 1,
--     ReferentialIntegrity "symbol,ts" "reference.{symbol,ts}" > 0.9,
--     DatasetMatch "reference" "symbol,ts" "close" = 1,
--     AggregateMatch "sum(close)" "avg(reference.close)" = 1
-- ]
SELECT
  count(*) AS m0
FROM "prod"."bars_1d" AS "primary";

SELECT count(*) FROM "prod"."reference" AS "theirs";

SELECT count(*), count(*) FILTER (WHERE found)
FROM (SELECT EXISTS (SELECT 1 FROM "prod"."reference" AS "theirs" WHERE "primary"."symbol" = "theirs"."symbol" AND "primary"."ts" = "theirs"."ts") AS found FROM "prod"."bars_1d" AS "primary") AS t;

SELECT count(*) FROM (SELECT 1 AS one FROM "prod"."bars_1d" AS "ours" GROUP BY "symbol", "ts" HAVING count(*) > 1) AS g;

SELECT sum("close") FROM "prod"."bars_1d" AS "theirs";

SELECT avg(CAST("close" AS DOUBLE)) FROM "prod"."reference" AS "theirs";

-- rows that break ReferentialIntegrity "symbol,ts" "reference.{symbol,ts}" > 0.9
SELECT "symbol", "ts", "close", "volume", "final", "amount", "seen", "note"
FROM "prod"."bars_1d" AS "primary"
WHERE (NOT EXISTS (SELECT 1 FROM "prod"."reference" AS "theirs" WHERE "primary"."symbol" = "theirs"."symbol" AND "primary"."ts" = "theirs"."ts"));
