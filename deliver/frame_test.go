package deliver

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
)

func badKey(key string) error { return blob.CheckKey(key) }

func TestBatchBody(t *testing.T) {
	b := &batch{
		destination: destination{"p/", "c", "m"}, key: "p/k", oldest: evaluated, decided: evaluated.Add(1e9),
		gzip: true, delimiter: true, raw: 300, count: 3,
		extents: []extent{{1, 128, 200, 5, 2}, {2, 128, 100, 9, 1}},
	}
	body := appendBatch(nil, b)
	got, err := decodeBatch(body)
	if err != nil || got.destination != b.destination || got.key != b.key || !got.oldest.Equal(b.oldest) || !got.decided.Equal(b.decided) ||
		!got.gzip || !got.delimiter || got.raw != 300 || got.count != 3 || got.first != 5 || got.extents[1] != b.extents[1] {
		t.Errorf("%+v, %v", got, err)
	}
	for cut := range body {
		if _, err := decodeBatch(body[:cut]); err == nil {
			t.Errorf("cut at %d it is read", cut)
		}
	}
}

// A frame within a record's data is not taken for one after damage, because its
// writer does not know the log's id.
func TestScanDoesNotTrustData(t *testing.T) {
	frameOf := func(seed uint32, seq uint64, data []byte) []byte {
		f := appendRecord(beginFrame(nil), nil, nil, data)
		finishFrame(seed, f, 0, kindRecord, seq, 0)
		return f
	}
	seed := seedOf([16]byte{1})
	forged := frameOf(seedOf([16]byte{}), 100, []byte("forged"))
	log := append(frameOf(seed, 1, forged), frameOf(seed, 2, []byte("after"))...)
	log[0] ^= 1 // the length can no longer be trusted, so each byte is looked at
	var seqs []uint64
	gaps := scan(seed, log, 0, func(_ int64, _ int, f frame) { seqs = append(seqs, f.seq) })
	if len(seqs) != 1 || seqs[0] != 2 || len(gaps) != 1 || gaps[0].offset != 0 {
		t.Errorf("frames %v, gaps %v", seqs, gaps)
	}
}

// FuzzRecover opens a log of arbitrary bytes, whole or after a good header, and
// demands that it is refused or recovered, takes a record and delivers it.
func FuzzRecover(f *testing.F) {
	m := newMemory()
	files, _ := buildLog(f, m)
	for _, b := range files {
		f.Add(b, uint16(0), byte(0), false)
		f.Add(b[segmentHeader:], uint16(7), byte(1), true)
		f.Add(b[:len(b)-3], uint16(200), byte(255), false)
	}
	f.Fuzz(func(t *testing.T, log []byte, at uint16, change byte, headed bool) {
		b := append([]byte(nil), log...)
		if len(b) > 0 {
			b[int(at)%len(b)] ^= change
		}
		if headed {
			b = append(header{id: [16]byte{1}, number: 1, version: 1, next: 1}.encode(), b...)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000001.log"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		m := newMemory()
		s, err := Open(config(5, 300), Options{Name: "bars", Dir: dir, Bucket: m})
		if err != nil {
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		if err := s.Put(ctx, tickerlake.Record{Data: []byte("new\n")}); err != nil {
			t.Errorf("put: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if len(m.objects) == 0 {
			t.Error("nothing is delivered")
		}
	})
}

// FuzzScan reads frames out of arbitrary bytes.
func FuzzScan(f *testing.F) {
	seed := seedOf([16]byte{})
	one := appendRecord(beginFrame(nil), nil, nil, []byte("x"))
	finishFrame(seed, one, 0, kindRecord, 1, 0)
	f.Add(one)
	f.Add(append([]byte{1, 2, 3}, one...))
	f.Fuzz(func(t *testing.T, data []byte) {
		read := 0
		last := int64(0)
		gaps := scan(seed, data, 0, func(offset int64, size int, f frame) {
			if offset < last {
				t.Errorf("a frame at %d after one that ended at %d", offset, last)
			}
			last = offset + int64(size)
			read += size
			_, _, _ = decodeRecord(f.body)
			_, _ = decodeBatch(f.body)
		})
		for _, g := range gaps {
			read += int(g.bytes)
		}
		if read != len(data) {
			t.Errorf("%d of %d bytes are accounted for", read, len(data))
		}
	})
}

// The key follows from the decision alone, however its records are kept in pieces.
func TestName(t *testing.T) {
	key := func(prefix, stream string, version uint64, extents ...extent) string {
		b := &batch{destination: destination{prefix: prefix}, extents: extents, gzip: true, oldest: evaluated}
		b.name([16]byte{1}, stream, version, time.UTC)
		return b.key
	}
	one := key("p/\x00/", "bars", 1, extent{first: 5, count: 4})
	const want = "p/oWS0KqwZyeg/bars-1-2026-03-05-04-07-09-250288a7-8a1c-8745-9046-7f2c54434c9a.gz"
	if one != want {
		t.Errorf("key %s, want %s: keys must not change, or a crash during an upgrade delivers twice", one, want)
	}
	if pieces := key("p/\x00/", "bars", 1, extent{first: 5, count: 1}, extent{first: 6, count: 3}); pieces != one {
		t.Errorf("in pieces the key is %s", pieces)
	}
	seen := map[string]bool{one: true}
	for _, other := range []string{
		key("p/\x00/", "bars", 1, extent{first: 5, count: 5}), key("p/\x00/", "bars", 1, extent{first: 6, count: 4}),
		key("p/\x00/", "bars", 2, extent{first: 5, count: 4}), key("p/\x00/", "bar", 1, extent{first: 5, count: 4}),
		key("q/\x00/", "bars", 1, extent{first: 5, count: 4}), key("p/\x00/", "bars", 1, extent{first: 5, count: 2}, extent{first: 8, count: 2}),
	} {
		if seen[other] {
			t.Errorf("two decisions have the key %s", other)
		}
		seen[other] = true
	}
}
