package lake

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// rawLocation is the location of an object of the raw bucket.
func rawLocation(key string) string { return "s3://raw/" + key }

// Retain discards published raw objects that are past their time. An object stays in the
// ledger until its file is gone, so that no crawl takes it for a new one; and it stays
// altogether while a rollback to a kept snapshot would have to bring it back.
func (t *Tidy) Retain(ctx context.Context, _ Run) error {
	if t.config.Raw == 0 {
		return nil
	}
	l := t.lake
	old, err := l.Catalog.Outlived(ctx, t.firstDay(t.config.Raw))
	if err != nil || len(old) == 0 {
		return err
	}
	known, err := l.Catalog.Garbage(ctx)
	if err != nil {
		return err
	}
	var locations []string
	for _, e := range old {
		if _, ok := known[rawLocation(e.Key)]; !ok {
			locations = append(locations, rawLocation(e.Key))
		}
	}
	if len(locations) == 0 {
		return nil
	}
	t.of(l.Database("raw") + "." + l.Stream).ObjectsExpired += int64(len(locations))
	if t.o.Dry {
		return nil
	}
	return l.Catalog.Discard(ctx, locations...)
}

// firstDay is the first UTC day, YYYY-MM-DD, of what is kept for a time.
func (t *Tidy) firstDay(keep tickerlake.Duration) string {
	return t.lake.now().Add(-time.Duration(keep)).Format(time.DateOnly)
}

// deleteRaw deletes an object of the raw bucket, then what is known of it.
func (t *Tidy) deleteRaw(ctx context.Context, key, location string) error {
	l := t.lake
	ledger := !strings.HasPrefix(key, "ops/")
	if ledger {
		// Nothing but a published object may go, whatever has happened since.
		switch e, err := l.Catalog.Object(ctx, key); {
		case errors.Is(err, tickerlake.NotFound):
			return nil
		case err != nil:
			return err
		case e.State != catalog.Published:
			return l.Catalog.Reclaimed(ctx, location)
		}
	}
	if err := l.Raw.Delete(ctx, key); err != nil {
		return err
	}
	fault.Point("tidy.raw_deleted")
	if !ledger {
		return nil
	}
	return l.Catalog.Drop(ctx, l.Stream, key, location)
}

// opsName is the key of an object of an ops table below the table's folder.
var opsName = regexp.MustCompile(`^dt=(\d{4}-\d{2}-\d{2})/[^/]+\.gz$`)

// Ops merges the objects of past days of each ops table, and discards those that are
// past their time. What is delivered today is left alone.
func (t *Tidy) Ops(ctx context.Context, run Run) error {
	// Known before the objects are listed: an object that took the place of garbage is
	// among them.
	garbage, err := t.lake.Catalog.Garbage(ctx)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(tickerlake.OpsTables))
	for i, name := range names {
		if err := t.ops(ctx, run, name, garbage); err != nil {
			return err
		}
		run.Report(float64(i+1)/float64(len(names)), run.Counts())
	}
	return nil
}

func (t *Tidy) ops(ctx context.Context, run Run, name string, garbage map[string]time.Time) error {
	l := t.lake
	keep := t.config.Ops
	if name == "queries" {
		keep = t.config.Queries
	}
	line := t.of(l.Database("ops") + "." + name)
	first, today, prefix := t.firstDay(keep), l.now().Format(time.DateOnly), "ops/"+name+"/"
	days := map[string][]tickerlake.Object{}
	var past []string
	err := l.Raw.Each(ctx, prefix, "", func(o tickerlake.Object) error {
		line.FilesBefore++
		line.FilesAfter++
		of := opsName.FindStringSubmatch(strings.TrimPrefix(o.Key, prefix))
		_, discarded := garbage[rawLocation(o.Key)]
		switch {
		case of == nil:
			t.unknown(rawLocation(o.Key))
		case discarded:
			line.FilesAfter--
		case of[1] < first:
			past = append(past, rawLocation(o.Key))
			line.FilesAfter--
		case of[1] < today:
			days[of[1]] = append(days[of[1]], o)
		}
		return nil
	})
	if err != nil {
		return err
	}
	line.ObjectsExpired += int64(len(past))
	if !t.o.Dry {
		if err := l.Catalog.Discard(ctx, past...); err != nil {
			return err
		}
	}
	for _, day := range slices.Sorted(maps.Keys(days)) {
		if err := t.mergeDay(ctx, run, name, day, days[day], line); err != nil {
			return err
		}
	}
	return nil
}

// mergeDay makes one object of the small ones of a day, by the rule for data files: bytes
// stand for rows. The small ones are discarded once the large one is durable; until then,
// and if the program ends between, events stand twice, which their ids make good.
func (t *Tidy) mergeDay(ctx context.Context, run Run, name, day string, objects []tickerlake.Object, line *TidyTable) error {
	limit := int64(t.config.FileMB) << 20
	objects = slices.DeleteFunc(objects, func(o tickerlake.Object) bool { return o.Size > limit/2 })
	slices.SortFunc(objects, func(a, b tickerlake.Object) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), strings.Compare(a.Key, b.Key))
	})
	for {
		n := tier(len(objects), func(i int) (int64, int64) { return objects[i].Size, objects[i].Size }, limit)
		if n == 0 {
			return nil
		}
		merged, err := t.mergeObjects(ctx, run, name, day, objects[:n], line)
		if err != nil {
			return err
		}
		line.ObjectsMerged += int64(merged)
		line.FilesAfter -= int64(max(merged-1, 0))
		objects = objects[n:]
	}
}

// mergeObjects writes one object of the lines of those that can be read to their end,
// and says how many these are.
func (t *Tidy) mergeObjects(ctx context.Context, run Run, name, day string, objects []tickerlake.Object, line *TidyTable) (int, error) {
	l := t.lake
	objects = slices.SortedFunc(slices.Values(objects), func(a, b tickerlake.Object) int { return strings.Compare(a.Key, b.Key) })
	var whole []string
	for _, o := range objects {
		line.BytesRewritten += o.Size
		line.FilesRewritten++
		if t.o.Dry {
			whole = append(whole, o.Key)
			continue
		}
		switch err := l.eachLine(ctx, o.Key, func([]byte) error { return nil }); {
		case err == nil:
			whole = append(whole, o.Key)
		case errors.Is(err, tickerlake.Damaged):
			t.wait(run, o.Key+" is damaged and stays as it is: "+err.Error())
		default:
			return 0, err
		}
	}
	if len(whole) < 2 {
		return 0, nil
	}
	if t.o.Dry {
		return len(whole), nil
	}
	// One name for the same objects: what a killed program wrote is written again.
	sum := sha256.Sum256([]byte(strings.Join(whole, "\n")))
	key := fmt.Sprintf("ops/%s/dt=%s/%s-tidy-%s.gz", name, day, name, hex.EncodeToString(sum[:8]))
	body, to := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		to.CloseWithError(l.concatenate(ctx, to, whole))
	}()
	info, err := l.Raw.Put(ctx, key, body, blob.Condition{})
	err = errors.Join(err, body.Close())
	<-ended
	if err != nil {
		return 0, err
	}
	line.BytesWritten += info.Size
	fault.Point("tidy.merged")
	locations := make([]string, len(whole))
	for i, key := range whole {
		locations[i] = rawLocation(key)
	}
	return len(whole), l.Catalog.Discard(ctx, locations...)
}

// concatenate writes the lines of objects as one gzip stream.
func (l *Lake) concatenate(ctx context.Context, to io.Writer, keys []string) error {
	z := gzip.NewWriter(to)
	for _, key := range keys {
		err := l.eachLine(ctx, key, func(line []byte) error {
			_, err := z.Write(append(line, '\n'))
			return err
		})
		if err != nil {
			return err
		}
	}
	return z.Close()
}

// eachLine calls f for the lines of a gzip object that are not empty; Damaged if it
// cannot be read to its end.
func (l *Lake) eachLine(ctx context.Context, key string, f func(line []byte) error) error {
	body, err := l.Raw.Open(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	z, err := gzip.NewReader(body)
	if err != nil {
		return &tickerlake.Error{Code: tickerlake.Damaged, Op: "lake.eachLine", Name: key, Err: err}
	}
	r := bufio.NewReaderSize(z, 1<<16)
	for {
		line, err := r.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := f(line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &tickerlake.Error{Code: tickerlake.Damaged, Op: "lake.eachLine", Name: key, Err: err}
		}
	}
}
