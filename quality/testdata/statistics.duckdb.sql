-- Rules = [
--     Mean "close" > 0,
--     Sum "volume" > 0 where "final",
--     StandardDeviation "close" < 9,
--     Variance "amount" < 9,
--     ColumnCorrelation "close" "volume" > 0,
--     Entropy "symbol" > 0,
--     DistinctValuesCount "symbol" > 1 where "final",
--     UniqueValueRatio "note" > 0.5
-- ]
SELECT
  count(*) FILTER (WHERE "close" IS NOT NULL) AS m0,
  sum("close") AS m1,
  count(*) FILTER (WHERE (final) AND "volume" IS NOT NULL) AS m2,
  sum("volume") FILTER (WHERE (final)) AS m3,
  count(*) FILTER (WHERE NOT isfinite("close")) AS m4,
  var_pop("close") FILTER (WHERE isfinite("close")) AS m5,
  count(*) FILTER (WHERE "amount" IS NOT NULL) AS m6,
  var_pop(CAST("amount" AS DOUBLE)) AS m7,
  count(*) FILTER (WHERE "close" IS NOT NULL AND "volume" IS NOT NULL) AS m8,
  count(*) FILTER (WHERE "close" IS NOT NULL AND "volume" IS NOT NULL AND NOT (isfinite("close"))) AS m9,
  corr("close", CAST("volume" AS DOUBLE)) FILTER (WHERE "close" IS NOT NULL AND "volume" IS NOT NULL AND isfinite("close")) AS m10,
  count(*) FILTER (WHERE (final) AND "symbol" IS NULL) AS m11
FROM "prod"."bars_1d" AS "primary";

SELECT
  sum(n) AS m0,
  count(*) AS m1,
  sum(n * ln(n)) AS m2
FROM (SELECT count(*) AS n FROM "prod"."bars_1d" AS "primary"
  WHERE ("symbol" IS NOT NULL)
  GROUP BY "symbol") AS g;

SELECT
  count(*) AS m0
FROM (SELECT count(*) AS n FROM "prod"."bars_1d" AS "primary"
  WHERE (final) AND ("symbol" IS NOT NULL)
  GROUP BY "symbol") AS g;

SELECT
  count(*) FILTER (WHERE n = 1) AS m0,
  sum(n) AS m1,
  count(*) AS m2
FROM (SELECT count(*) AS n FROM "prod"."bars_1d" AS "primary"
  WHERE ("note" IS NOT NULL)
  GROUP BY "note") AS g;
