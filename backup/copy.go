package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
	"github.com/tickerlake/tickerlake/lake"
)

// copiers is how many files are copied at a time: most of the time of a small one is that
// of its fsync.
const copiers = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A copier copies the files of one generation.
type copier struct {
	folder *Folder
	lake   string            // its folder
	known  map[string][]Copy // by path
	tell   func(Progress)

	mu       sync.Mutex
	copied   *os.File // a line for each copy
	touched  map[string]bool
	files    []Copy
	problems []Problem
	progress Progress
	// new is what was not there before.
	newFiles, newBytes int64
}

// copyAll copies files, or finds that they are there.
func (c *copier) copyAll(ctx context.Context, files []lake.File) error {
	c.mu.Lock()
	c.progress.AllFiles += int64(len(files))
	for _, f := range files {
		c.progress.AllBytes += max(f.Size, 0)
	}
	c.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(copiers)
	for _, f := range files {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return &tickerlake.Error{Code: tickerlake.Canceled, Op: "backup.Take", Name: c.folder.dir, Err: errors.New("the backup was cut off; the next goes on with what is copied")}
			}
			return c.copy(f)
		})
	}
	return group.Wait()
}

// copy copies one file if it is not there.
func (c *copier) copy(f lake.File) error {
	path := filepath.Join(c.lake, filepath.FromSlash(f.Path))
	if k, ok := c.there(f, path); ok {
		c.done(k, max(f.Size, 0), false, "")
		return nil
	}
	k, why, err := c.store(f, path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.Optional:
		c.done(Copy{}, max(f.Size, 0), false, "")
		return nil
	case errors.Is(err, fs.ErrNotExist):
		c.done(Copy{}, max(f.Size, 0), false, "")
		c.mu.Lock()
		c.problems = append(c.problems, Problem{Path: f.Path, Problem: "the file is missing"})
		c.mu.Unlock()
		return nil
	case err != nil:
		return err
	}
	k.Damaged = why != ""
	c.done(k, max(f.Size, 0), true, why)
	fault.Point("backup.copied")
	return nil
}

// there finds a copy of a file that never changes: by its path and what is recorded of it
// or, where nothing is, its size and time.
func (c *copier) there(f lake.File, path string) (Copy, bool) {
	if f.Opened != nil {
		return Copy{}, false
	}
	known := c.known[f.Path]
	if len(known) == 0 {
		return Copy{}, false
	}
	if n := len(f.Sums); n > 0 {
		last := f.Sums[n-1]
		for _, k := range known {
			if k.Size == last.Size && k.CRC32C == fmt.Sprintf("%08x", last.CRC) && c.folder.has(k) {
				return k, true
			}
		}
		return Copy{}, false
	}
	if f.Size < 0 || f.Modified.IsZero() {
		info, err := os.Stat(path)
		if err != nil {
			return Copy{}, false
		}
		f.Size, f.Modified = info.Size(), info.ModTime()
	}
	for _, k := range known {
		if k.Size == f.Size && k.Modified == f.Modified.UnixNano() && c.folder.has(k) {
			return k, true
		}
	}
	return Copy{}, false
}

// done notes a file of the generation; one without a path is left out.
func (c *copier) done(k Copy, expected int64, new bool, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Files++
	c.progress.Bytes += k.Size
	c.progress.AllBytes += k.Size - expected
	if c.tell != nil {
		c.tell(c.progress)
	}
	if k.Path == "" {
		return
	}
	c.files = append(c.files, k)
	if why != "" {
		c.problems = append(c.problems, Problem{Path: k.Path, Problem: why})
	}
	if new && why == "" {
		// It need not be on disk: what it does not say is copied again.
		if line, err := json.Marshal(k); err == nil {
			_, _ = c.copied.Write(append(line, '\n'))
		}
	}
}

// store copies a file into the folder, brings it to disk, reads it back, and says why it
// is not what the lake has recorded of it.
func (c *copier) store(f lake.File, path string) (k Copy, why string, err error) {
	source := io.Reader(nil)
	if f.Opened != nil {
		source = io.NewSectionReader(f.Opened, 0, f.Size) // it may have grown since
	} else {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return k, "", fs.ErrNotExist
		}
		if err != nil {
			return k, "", failed("backup.Take", path, err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return k, "", failed("backup.Take", path, err)
		}
		f.Modified = info.ModTime()
		if f.Size >= 0 && info.Size() != f.Size {
			why = fmt.Sprintf("the file has %d bytes, the lake says %d", info.Size(), f.Size)
		}
		source = file
	}
	for again := false; ; again = true {
		var unlike string
		k, unlike, err = c.write(f, source)
		if err == nil {
			if why == "" {
				why = unlike
			}
			return k, why, nil
		}
		// Once: the write may have hit a bad place of the disk, and the next does not.
		rewind, ok := source.(io.Seeker)
		if again || !ok || !errors.Is(err, tickerlake.Damaged) {
			return k, "", err
		}
		if _, serr := rewind.Seek(0, io.SeekStart); serr != nil {
			return k, "", err
		}
	}
}

// write makes the content of a file.
func (c *copier) write(f lake.File, source io.Reader) (k Copy, why string, err error) {
	tmp, err := os.CreateTemp(c.folder.path(tmpName), "copy-")
	if err != nil {
		return k, "", failed("backup.Take", c.folder.dir, err)
	}
	defer func() {
		_ = tmp.Close()
		_ = os.Remove(tmp.Name())
	}()
	sha, crc := sha256.New(), crc32.New(castagnoli)
	to := &counter{w: io.MultiWriter(tmp, sha, crc)}
	from := &reader{r: io.TeeReader(source, to)}
	if strings.HasSuffix(f.Path, ".gz") && !f.Damaged {
		why = unpack(from)
	}
	if _, err := io.CopyBuffer(io.Discard, onlyReader{from}, make([]byte, 256<<10)); err != nil {
		if to.err != nil {
			return k, "", failed("backup.Take", c.folder.dir, to.err)
		}
		return k, "", failed("backup.Take", filepath.Join(c.lake, filepath.FromSlash(f.Path)), err)
	}
	sum := catalog.Sum{Size: to.n, CRC: crc.Sum32()}
	if err := catalog.Matches(f.Path, sum, f.Sums); err != nil {
		why = fmt.Sprintf("the file has %s, it was written with %s", sum, f.Sums[len(f.Sums)-1])
	}
	k = Copy{Path: f.Path, Size: to.n, SHA256: hex.EncodeToString(sha.Sum(nil)), CRC32C: fmt.Sprintf("%08x", sum.CRC), Modified: f.Modified.UnixNano()}
	if c.folder.has(k) {
		return k, why, nil // of another name, or of another time
	}
	if err := tmp.Sync(); err != nil {
		return k, "", failed("backup.Take", c.folder.dir, err)
	}
	if back, err := readBack(tmp); err != nil {
		return k, "", failed("backup.Take", tmp.Name(), err)
	} else if back != k.SHA256 {
		return k, "", tickerlake.Errorf(tickerlake.Damaged, "backup.Take", c.folder.dir, "what was written of %s is not what is read back: the disk of the backup is failing", f.Path)
	}
	target := c.folder.content(k.SHA256)
	if err := makeDir(filepath.Dir(target), 0o700); err != nil {
		return k, "", failed("backup.Take", c.folder.dir, err)
	}
	if err := os.Rename(tmp.Name(), target); err != nil {
		return k, "", failed("backup.Take", c.folder.dir, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touched[filepath.Dir(target)] = true
	c.newFiles++
	c.newBytes += k.Size
	return k, why, nil
}

// settle brings the names of all copies to disk.
func (c *copier) settle() error {
	for dir := range c.touched {
		if err := syncDir(dir); err != nil {
			return failed("backup.Take", c.folder.dir, err)
		}
	}
	return nil
}

// unpack reads a gzip file to its end, which proves its checksum, and says what is wrong.
func unpack(from io.Reader) string {
	z, err := gzip.NewReader(from)
	if err == nil {
		_, err = io.Copy(io.Discard, z)
	}
	if err != nil {
		return fmt.Sprintf("the file is damaged (%v)", err)
	}
	return ""
}

// readBack gives the SHA-256 of a file that was written, from the disk where the system
// lets go of what it has in memory.
func readBack(file *os.File) (string, error) {
	forget(file)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	return sumOf(file)
}

func sumOf(r io.Reader) (string, error) {
	sha := sha256.New()
	_, err := io.CopyBuffer(sha, onlyReader{r}, make([]byte, 256<<10))
	return hex.EncodeToString(sha.Sum(nil)), err
}

// A counter counts what is written, and keeps why it could not be.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.err = err
	return n, err
}

// A reader goes on failing once it has failed: what reads gzip may not say why.
type reader struct {
	r   io.Reader
	err error
}

func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.r.Read(p)
	r.err = err
	return n, err
}

// onlyReader hides the other methods of a reader.
type onlyReader struct{ io.Reader }

// modified is a time of change as a Copy has it.
func modified(nanos int64) time.Time { return time.Unix(0, nanos) }
