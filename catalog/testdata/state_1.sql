CREATE TABLE objects (              -- the ledger of raw objects
	key TEXT PRIMARY KEY, dt TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
	delivered_at TEXT NOT NULL,
	state TEXT NOT NULL,            -- pending, published, held, damaged
	run TEXT NOT NULL DEFAULT '',   -- the run that works on it or published it
	scanned INTEGER NOT NULL DEFAULT 0, lines INTEGER NOT NULL DEFAULT 0, bad_lines INTEGER NOT NULL DEFAULT 0,
	failures INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX objects_by_state ON objects (state, run);
CREATE TABLE series (
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, source TEXT NOT NULL, basis TEXT NOT NULL,
	currency TEXT NOT NULL, interval TEXT NOT NULL,
	watermark TEXT NOT NULL,        -- up to here nothing is missing
	last TEXT NOT NULL,             -- last bar published
	covers TEXT NOT NULL DEFAULT '[]',
	PRIMARY KEY (tbl, symbol)
) STRICT;
CREATE TABLE delivered (            -- last final bars on their way, by fetch
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, fetch_id TEXT NOT NULL, recorded_at TEXT NOT NULL, ts TEXT NOT NULL,
	PRIMARY KEY (tbl, symbol, fetch_id)
) STRICT;
CREATE TABLE raw_columns (          -- what the crawler saw in a stream
	stream TEXT NOT NULL, name TEXT NOT NULL, kinds TEXT NOT NULL, added_at TEXT NOT NULL, seen_at TEXT NOT NULL,
	gone INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (stream, name)
) STRICT;
CREATE TABLE raw_partitions (
	stream TEXT NOT NULL, dt TEXT NOT NULL, objects INTEGER NOT NULL, bytes INTEGER NOT NULL, records INTEGER NOT NULL,
	PRIMARY KEY (stream, dt)
) STRICT;
INSERT INTO objects VALUES
	('raw/bars/dt=2026-03-01/a.gz', '2026-03-01', 10, 'x', '2026-03-01T10:00:00.000000Z', 'published', 'r1', 1, 7, 1, 0, '', '2026-03-01T10:01:00.000000Z'),
	('raw/bars/dt=2026-03-01/b.gz', '2026-03-01', 20, 'y', '2026-03-01T11:00:00.000000Z', 'pending', '', 1, 5, 0, 2, 'a rule fails', '2026-03-01T11:01:00.000000Z'),
	('raw/bars/dt=2026-03-01/c.gz', '2026-03-01', 30, 'z', '2026-03-01T12:00:00.000000Z', 'damaged', 'r1', 0, 0, 0, 0, 'cut short', '2026-03-01T12:01:00.000000Z');
INSERT INTO series VALUES
	('bars_1d', 'AAPL', 'market', 'split', 'USD', '1d', '2026-02-27T00:00:00.000000Z', '2026-02-28T00:00:00.000000Z',
		'[{"from":"2020-01-02T00:00:00Z","to":"2026-02-19T23:59:59.999999Z","at":"2026-02-20T21:00:00.000001Z","id":"f1"},{"from":"2026-02-20T00:00:00Z","to":"2026-02-28T00:00:00Z","at":"2026-03-01T09:00:00Z","id":"f2"}]'),
	('bars_1d', 'OLD', 'market', 'split', 'USD', '1d', '', '1969-12-31T00:00:00.000000Z',
		'[{"from":"1962-01-02T00:00:00Z","to":"1969-12-31T00:00:00Z","at":"2026-02-20T21:00:00Z","id":"f3"}]'),
	('bars_1m', 'MSFT', 'market', 'split', 'USD', '1m', '', '2026-02-28T20:59:00.000000Z', '[]');
INSERT INTO delivered VALUES ('bars_1d', 'AAPL', 'f9', '2026-03-01T11:00:00.000000Z', '2026-03-01T00:00:00.000000Z');
INSERT INTO raw_columns VALUES ('bars', 'symbol', 'string', '2026-03-01T10:00:00.000000Z', '2026-03-01T10:00:00.000000Z', 0);
INSERT INTO raw_partitions VALUES ('bars', '2026-03-01', 3, 60, 12);
PRAGMA user_version = 1;
