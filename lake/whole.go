package lake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"github.com/tickerlake/tickerlake"
)

// Whole fails with Damaged, naming the file, if one of these files is not what was
// written: a file of prod has a recorded checksum, a gzip file one of its own. Neither
// DuckDB nor a file system would notice a changed byte, and it would be served.
//
// A file is read once: that it was found whole is remembered in tmp/whole with its size,
// inode and times, and believed until one of these changes. What changes below the file
// system without that is found by doctor, and before a file's rows are written anew.
func (l *Lake) Whole(ctx context.Context, files []string) error {
	known := readWhole(l.wholeFile())
	var mu sync.Mutex
	found := map[string]string{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, path := range files {
		stamp, err := fileStamp(path)
		if errors.Is(err, os.ErrNotExist) {
			return errors.Join(g.Wait(), tickerlake.Errorf(tickerlake.Damaged, "lake.Whole", l.nameOf(path), "the file is missing: see tickerlake doctor"))
		}
		if err == nil && known[path] == stamp {
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := l.whole(path); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			found[path] = stamp
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if len(found) > 0 {
		l.remember(known, found)
	}
	return nil
}

// unchanged reads data files whose rows are about to be written anew: what is copied from
// a damaged file could never be told from what is right.
func (l *Lake) unchanged(files []file) error {
	for _, f := range files {
		if _, err := l.files.Check(f.location); err != nil {
			return err
		}
	}
	return nil
}

// whole reads one file to its end.
func (l *Lake) whole(path string) error {
	if strings.HasSuffix(path, ".gz") {
		return l.wholeGzip(path)
	}
	_, err := l.files.Check(l.nameOf(path))
	return err
}

func (l *Lake) wholeGzip(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 64<<10))
	if err == nil {
		_, err = io.Copy(io.Discard, z)
	}
	if err != nil {
		return tickerlake.Errorf(tickerlake.Damaged, "lake.Whole", l.nameOf(path), "the object is damaged (%w): see tickerlake doctor", err)
	}
	return nil
}

// nameOf is the location of a local file of a bucket, the path of another.
func (l *Lake) nameOf(path string) string {
	if rel, err := filepath.Rel(l.files.Root, path); err == nil && filepath.IsLocal(rel) {
		return "s3://" + filepath.ToSlash(rel)
	}
	return path
}

func (l *Lake) wholeFile() string { return filepath.Join(l.Dir, "tmp", "whole") }

// fileStamp changes whenever a file is written to or replaced.
func fileStamp(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("no times")
	}
	return fmt.Sprintf("%d %d %d %d", info.Size(), info.ModTime().UnixNano(), st.Ino, changed(st).UnixNano()), nil
}

// grain is more than the distance of two times that a kernel can tell apart.
const grain = 50 * time.Millisecond

// readWhole gives the stamps of files that were found whole, by path. A file that
// changed as it was being read may have the stamp of before: what is younger than that
// reading is not believed.
func readWhole(path string) map[string]string {
	out := map[string]string{}
	f, err := os.Open(path)
	if err != nil {
		return out
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return out
	}
	young := info.ModTime().Add(-grain).UnixNano()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var size, modified, inode, ctime int64
		stamp, file, ok := strings.Cut(lines.Text(), "\t")
		if n, _ := fmt.Sscanf(stamp, "%d %d %d %d", &size, &modified, &inode, &ctime); ok && n == 4 && ctime < young {
			out[file] = stamp
		}
	}
	return out
}

// remember writes what was found whole. That it cannot costs time, nothing else.
func (l *Lake) remember(known, found map[string]string) {
	var text strings.Builder
	for path, stamp := range known {
		if _, again := found[path]; again {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			fmt.Fprintf(&text, "%s\t%s\n", stamp, path)
		}
	}
	for path, stamp := range found {
		if stamp != "" && !strings.ContainsAny(path, "\n\t") {
			fmt.Fprintf(&text, "%s\t%s\n", stamp, path)
		}
	}
	target := l.wholeFile()
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(target), "whole-")
	if err != nil {
		return
	}
	_, err = f.WriteString(text.String())
	if errors.Join(err, f.Close()) != nil || os.Rename(f.Name(), target) != nil {
		_ = os.Remove(f.Name())
	}
}
