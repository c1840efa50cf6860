package lake

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	icebergio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// The names of files that the lake and the Iceberg library write below the folder of a
// table. The engine writes a file that is there already under another name first.
var (
	dataName     = regexp.MustCompile(`^data/[^/]+/(?:tmp_)?([^/]+?)-(?:\d+-\d{5}-(?:new|rewrite-\d+)|[0-9a-f]{8}-\d{5}-tidy)\.parquet$`)
	metadataName = regexp.MustCompile(`^metadata/(?:\d+-[0-9a-f-]{36}(?:\.gz|\.zstd)?\.metadata\.json|snap-\d+-\d+-[0-9a-f-]{36}\.avro|[0-9a-f-]{36}-m\d+\.avro)$`)
)

// Collect finds the files that nothing references, and deletes those that no reader can
// have open: no living lease is older than the time since when they are garbage.
func (t *Tidy) Collect(ctx context.Context, run Run) error {
	l := t.lake
	found, sizes, err := t.unreferenced(ctx)
	if err != nil {
		return err
	}
	known, err := l.Catalog.Garbage(ctx)
	if err != nil {
		return err
	}
	var fresh, none []string
	still := map[string]bool{}
	for _, location := range found {
		still[location] = true
		if _, ok := known[location]; !ok {
			fresh = append(fresh, location)
		}
	}
	for location := range known {
		if strings.HasPrefix(location, "s3://"+prodBucket+"/") && !still[location] {
			none = append(none, location) // deleted by a call that was cut off, or needed after all
		}
	}
	if t.o.Dry {
		for _, location := range found {
			t.freed(location, sizes[location])
		}
		return nil
	}
	if err := errors.Join(l.Catalog.Reclaimed(ctx, none...), l.Catalog.Discard(ctx, fresh...)); err != nil {
		return err
	}
	fault.Point("tidy.discarded")
	if known, err = l.Catalog.Garbage(ctx); err != nil {
		return err
	}
	// Whoever begins to read from now on sees none of these files.
	since, reading, err := readers(l.Dir)
	if err != nil {
		return err
	}
	if err := t.delete(ctx, run, known, func(at time.Time) bool { return reading && !since.After(at) }); err != nil {
		return err
	}
	if len(t.o.Unfinished) > 0 {
		return nil // not all was done
	}
	return l.Catalog.Tidied(ctx)
}

// delete removes garbage but what a reader may have open.
func (t *Tidy) delete(ctx context.Context, run Run, garbage map[string]time.Time, open func(since time.Time) bool) error {
	l := t.lake
	var gone []string
	n := 0
	for location, since := range garbage {
		if err := ctx.Err(); err != nil {
			return err
		}
		n++
		run.Report(float64(n)/float64(len(garbage)), run.Counts())
		if open(since) {
			t.of(t.tableName(location)).FilesWaiting++
			continue
		}
		path, err := l.files.Path(location)
		if err != nil {
			return err
		}
		bytes := size(path)
		if key, ok := strings.CutPrefix(location, "s3://raw/"); ok {
			err = t.deleteRaw(ctx, key, location)
		} else if err = l.files.Remove(location); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return err
		}
		fault.Point("tidy.deleted")
		run.Log().Debug("file deleted", "location", location, "bytes", bytes, "garbage_since", since)
		t.freed(location, bytes)
		gone = append(gone, location)
	}
	if len(gone) > 0 {
		run.Log().Info("files deleted", "files", len(gone))
	}
	return l.Catalog.Reclaimed(ctx, gone...)
}

func (t *Tidy) freed(location string, bytes int64) {
	line := t.of(t.tableName(location))
	line.FilesDeleted++
	line.BytesFreed += bytes
}

// tableName is the table that a file is of.
func (t *Tidy) tableName(location string) string {
	l := t.lake
	if key, ok := strings.CutPrefix(location, "s3://raw/"); ok {
		if rest, ok := strings.CutPrefix(key, "ops/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			return l.Database("ops") + "." + name
		}
		return l.Database("raw") + "." + l.Stream
	}
	return l.prod() + "." + tableOf(location)
}

// size is that of a local file, 0 if there is none.
func size(path string) int64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// unreferenced lists the files of the prod bucket that no table of any database needs,
// with the sizes of all that are there. Where a reference cannot be read, it fails, so
// that nothing is deleted.
func (t *Tidy) unreferenced(ctx context.Context) (found []string, sizes map[string]int64, err error) {
	l := t.lake
	needed, folders := map[string]bool{latestFile: true}, map[string]bool{"latest": true}
	databases, err := l.Catalog.Databases(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, database := range databases {
		names, err := l.Catalog.ListTables(ctx, database)
		if err != nil {
			return nil, nil, err
		}
		for _, name := range names {
			ice, err := l.Catalog.LoadTable(ctx, database, name)
			if err != nil {
				return nil, nil, err
			}
			if err := references(ctx, ice, needed); err != nil {
				return nil, nil, tickerlake.Errorf(tickerlake.Damaged, "lake.Collect", database+"."+name, "what it references cannot be read, so that nothing is deleted: %w", err)
			}
			folders[tableOf(ice.Location())] = true
		}
	}
	root, err := l.files.Path("s3://" + prodBucket)
	if err != nil {
		return nil, nil, err
	}
	sizes = map[string]int64{}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if e.IsDir() {
			if e.Name() == catalog.SumsDir {
				return filepath.SkipDir
			}
			return ctx.Err()
		}
		rest, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		location := "s3://" + prodBucket + "/" + filepath.ToSlash(rest)
		sizes[location] = max(size(path), 1)
		if needed[location] {
			return nil
		}
		switch folder, name, _ := strings.Cut(filepath.ToSlash(rest), "/"); {
		case !folders[folder] || !e.Type().IsRegular():
			t.unknown(location)
		case location == latestFile+".new":
			found = append(found, location)
		case metadataName.MatchString(name):
			found = append(found, location)
		default:
			of := dataName.FindStringSubmatch(name)
			switch {
			case of == nil:
				t.unknown(location)
			case !slices.Contains(t.o.Unfinished, of[1]):
				found = append(found, location)
			}
		}
		return nil
	})
	return found, sizes, err
}

func (t *Tidy) unknown(location string) {
	if !slices.Contains(t.report.Unknown, location) {
		t.report.Unknown = append(t.report.Unknown, location)
	}
}

// references adds every file that a table needs: its metadata, that of before, and what
// its snapshots are made of.
func references(ctx context.Context, t *table.Table, needed map[string]bool) error {
	io, err := t.FS(ctx)
	if err != nil {
		return err
	}
	meta := t.Metadata()
	needed[t.MetadataLocation()] = true
	for old := range meta.PreviousFiles() {
		needed[old.MetadataFile] = true
	}
	for s := range meta.Statistics() {
		needed[s.StatisticsPath] = true
	}
	for s := range meta.PartitionStatistics() {
		needed[s.StatisticsPath] = true
	}
	for _, s := range meta.Snapshots() {
		if err := ctx.Err(); err != nil {
			return err
		}
		needed[s.ManifestList] = true
		manifests, err := s.Manifests(io)
		if err != nil {
			return err
		}
		for _, m := range manifests {
			if needed[m.FilePath()] {
				continue // read for another snapshot
			}
			needed[m.FilePath()] = true
			if err := entries(io, m, needed); err != nil {
				return err
			}
		}
	}
	return nil
}

func entries(io icebergio.IO, m iceberg.ManifestFile, needed map[string]bool) error {
	for entry, err := range m.Entries(io, true) {
		if err != nil {
			return err
		}
		needed[entry.DataFile().FilePath()] = true
	}
	return nil
}
