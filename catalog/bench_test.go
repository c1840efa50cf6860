package catalog_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// BenchmarkPublish publishes runs that each confirm a week of 10,000 series, in a lake
// that has seen as many as it keeps covers of.
func BenchmarkPublish(b *testing.B) {
	const symbols, before = 10_000, 40
	ctx := context.Background()
	c, err := catalog.Open(ctx, b.TempDir(), func() time.Time { return now })
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	run := 0
	publish := func() {
		b.StopTimer()
		at := now.Add(time.Duration(run) * time.Hour)
		p := catalog.Publication{Run: fmt.Sprintf("r%05d", run), Claimed: now}
		p.Confirmations = make([]catalog.Confirmation, symbols)
		tx, err := c.DB().Begin()
		if err != nil {
			b.Fatal(err)
		}
		for i := range p.Confirmations {
			fetch := fmt.Sprintf("%05d-%06d", run, i)
			p.Confirmations[i] = catalog.Confirmation{
				Series: tickerlake.Series{Table: "bars_1d", Symbol: tickerlake.Symbol(fmt.Sprintf("S%05d", i)), Source: "market", Basis: "split", Currency: "USD", Interval: "1d", Last: day(run)},
				Cover:  catalog.Cover{From: day(run - 7), To: day(run), FetchedAt: at, FetchID: fetch},
			}
			_, err := tx.Exec("INSERT INTO delivered (tbl, symbol, fetch_id, recorded_at, ts) VALUES ('bars_1d', ?, ?, '2026-03-02T11:00:00.000000Z', ?)",
				p.Confirmations[i].Symbol, fetch, day(run).Format("2006-01-02T15:04:05.000000Z"))
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := c.Publish(ctx, p); err != nil {
			b.Fatal(err)
		}
		run++
	}
	b.StopTimer()
	for range before {
		publish()
	}
	b.StartTimer()
	b.ResetTimer()
	for b.Loop() {
		publish()
	}
}
