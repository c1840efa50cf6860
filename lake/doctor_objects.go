package lake

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// objects compares the ledger with the raw bucket.
func (d *doctor) objects(ctx context.Context) error {
	entries, err := d.Catalog.Objects(ctx, "")
	if err != nil {
		return err
	}
	tags := map[string]string{}
	err = d.Raw.Each(ctx, d.Prefix, "", func(o tickerlake.Object) error {
		tags[o.Key] = o.ETag
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	garbage, err := d.Catalog.Garbage(ctx)
	if err != nil {
		return err
	}
	moved := 0
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		path, err := d.Raw.Path(e.Key)
		if err != nil {
			return err
		}
		var problem error
		lines := int64(0)
		info, err := os.Stat(path)
		switch {
		case e.State == catalog.Damaged:
			continue // known, and nothing of it is used
		case errors.Is(err, os.ErrNotExist) && !garbage[rawLocation(e.Key)].IsZero():
			continue // tidy was cut off: it forgets the object with its next run
		case errors.Is(err, os.ErrNotExist):
			problem = errors.New("the object is missing")
		case err != nil:
			return err
		case info.Size() != e.Size:
			problem = fmt.Errorf("the object has %d bytes, the ledger says %d", info.Size(), e.Size)
		default:
			lines, problem = linesOf(path)
		}
		if problem == nil && e.Scanned && lines != e.Lines {
			problem = fmt.Errorf("the object has %d lines, the ledger says %d", lines, e.Lines)
		}
		if problem == nil {
			if tags[e.Key] != e.ETag {
				moved++
			}
			continue
		}
		if now, err := d.Catalog.Object(ctx, e.Key); errors.Is(err, tickerlake.NotFound) || err == nil && now.State != e.State {
			continue // a run or tidy was at it
		}
		f := d.wrong("raw object", "s3://raw/"+e.Key, "%s", problem)
		why := problem.Error()
		what := "what it held is asked for again by the next fetch"
		if e.State == catalog.Published {
			what = "its rows are published; " + what
		}
		d.find(f.Repairable("mark it as damaged in the ledger, so that nothing of it is used; "+what,
			func(ctx context.Context) (string, error) {
				return "it is marked as damaged; the next fetch asks for everything again", d.Catalog.MarkDamaged(ctx, e.Key, why)
			}))
	}
	if moved > 0 {
		d.find(Finding{Severity: Note, What: "raw objects", Where: "s3://raw", Problem: fmt.Sprintf("%d objects have another time of change than the ledger says, as after copying a lake without its times; their sizes and contents agree", moved)})
	}
	return nil
}

// linesOf reads a gzip object to its end, which proves its checksum.
func linesOf(path string) (n int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 64<<10))
	if err != nil {
		return 0, fmt.Errorf("the object is damaged (%w)", err)
	}
	buffer := make([]byte, 64<<10)
	last := byte('\n')
	for {
		k, err := z.Read(buffer)
		n += int64(bytes.Count(buffer[:k], []byte("\n")))
		if k > 0 {
			last = buffer[k-1]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, fmt.Errorf("the object is damaged (%w)", err)
		}
	}
	if last != '\n' {
		n++
	}
	return n, nil
}

// events looks at the objects of ops.
func (d *doctor) events(ctx context.Context) error {
	return d.Raw.Each(ctx, "ops/", "", func(o tickerlake.Object) error {
		path, err := d.Raw.Path(o.Key)
		if err != nil {
			return err
		}
		_, problem := linesOf(path)
		if problem == nil || errors.Is(problem, os.ErrNotExist) {
			return ctx.Err()
		}
		d.find(d.wrong("events", "s3://raw/"+o.Key, "%s", problem).Repairable(
			"move it aside, to damaged/"+o.Key+", so that the other events can be asked for",
			func(ctx context.Context) (string, error) {
				target := "s3://raw/damaged/" + o.Key
				to, err := d.create(target)
				if err != nil {
					return "", err
				}
				if err := os.Rename(path, to); err != nil {
					return "", err
				}
				return "it is at " + target, nil
			}))
		return nil
	})
}
