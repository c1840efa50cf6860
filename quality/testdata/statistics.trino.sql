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
  sum(CAST("close" AS DOUBLE)) AS m0,
  count(CAST("close" AS DOUBLE)) AS m1,
  sum(CAST("volume" AS DOUBLE)) FILTER (WHERE (final)) AS m2,
  count(CAST("volume" AS DOUBLE)) FILTER (WHERE (final)) AS m3,
  count(*) FILTER (WHERE NOT is_finite(CAST("close" AS DOUBLE))) AS m4,
  var_pop(CAST("close" AS DOUBLE)) FILTER (WHERE is_finite(CAST("close" AS DOUBLE))) AS m5,
  count(CAST("amount" AS DOUBLE)) AS m6,
  var_pop(CAST("amount" AS DOUBLE)) AS m7,
  count(*) FILTER (WHERE CAST("close" AS DOUBLE) IS NOT NULL AND CAST("volume" AS DOUBLE) IS NOT NULL) AS m8,
  count(*) FILTER (WHERE is_finite(CAST("close" AS DOUBLE)) AND is_finite(CAST("volume" AS DOUBLE))) AS m9,
  covar_pop(CAST("close" AS DOUBLE), CAST("volume" AS DOUBLE)) FILTER (WHERE is_finite(CAST("close" AS DOUBLE)) AND is_finite(CAST("volume" AS DOUBLE))) AS m10,
  var_pop(CAST("close" AS DOUBLE)) FILTER (WHERE is_finite(CAST("close" AS DOUBLE)) AND is_finite(CAST("volume" AS DOUBLE)) AND CAST("volume" AS DOUBLE) IS NOT NULL) AS m11,
  var_pop(CAST("volume" AS DOUBLE)) FILTER (WHERE is_finite(CAST("close" AS DOUBLE)) AND is_finite(CAST("volume" AS DOUBLE)) AND CAST("close" AS DOUBLE) IS NOT NULL) AS m12
FROM "prod"."bars_1d" AS "primary";

SELECT
  sum(n) AS m0,
  count(*) AS m1,
  sum(n * ln(CAST(n AS DOUBLE))) AS m2
FROM (SELECT count(*) AS n FROM "prod"."bars_1d" AS "primary"
  WHERE ("symbol" IS NOT NULL)
  GROUP BY "symbol") AS g;

SELECT
  count(*) AS m0
FROM (SELECT count(*) AS n FROM "prod"."bars_1d" AS "primary"
  WHERE (final)
  GROUP BY "symbol") AS g;

SELECT
  count(*) FILTER (WHERE n = 1) AS m0,
  count(*) AS m1
FROM (SELECT count(*) AS n FROM "prod"."bars_1d" AS "primary"
  WHERE ("note" IS NOT NULL)
  GROUP BY "note") AS g;
