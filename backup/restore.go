package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// A Restored is what Restore has done.
type Restored struct {
	Generation string    `json:"generation"`
	At         time.Time `json:"at"`
	Lake       string    `json:"lake"`
	Aside      string    `json:"aside,omitempty"` // where the lake is that was there before
	Files      int64     `json:"files"`
	Bytes      int64     `json:"bytes"`
	Problems   []Problem `json:"problems"` // of the lake when the backup was taken
}

// A Place is where a lake is made.
type Place struct {
	Lake string // its folder
	// Force has a lake that is there moved aside, under its lock, which Lock takes.
	Force bool
	Lock  func() (release func() error, err error)
	Clock tickerlake.Clock
}

// restoringSuffix is that of the folder in which a lake is put together, beside its place.
const restoringSuffix = ".restoring-"

// unfinishedSuffix is that of a file in it that is being written.
const unfinishedSuffix = ".restoring"

// Restore makes a lake of a generation. Every file is compared with its checksum while it
// is copied, into a folder beside the place, which becomes the lake by being renamed when
// all is on disk. Cut off, the next Restore of the generation goes on with what is whole.
// It fails with Exists if there is a lake and Force does not say what to do with it.
func (f *Folder) Restore(ctx context.Context, id string, to Place, tell func(Progress)) (r Restored, err error) {
	const op = "backup.Restore"
	g, err := f.Read(id)
	if err != nil {
		return r, err
	}
	r = Restored{Generation: g.ID, At: g.At, Lake: to.Lake, Problems: append([]Problem{}, g.Problems...)}
	if within, err := isWithin(to.Lake, f.dir); err != nil || within {
		return r, errors.Join(failedOrNil(op, to.Lake, err), tickerlake.Errorf(tickerlake.Invalid, op, to.Lake, "is in the backup: name another folder"))
	}
	taken, err := filled(to.Lake)
	if err != nil {
		return r, failed(op, to.Lake, err)
	}
	if taken && !to.Force {
		return r, tickerlake.Errorf(tickerlake.Exists, op, to.Lake, "there is something here: --force moves it aside, --to names another folder")
	}
	if taken {
		release, err := to.Lock()
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	made := strings.TrimRight(to.Lake, "/") + restoringSuffix + g.ID
	if err := f.restoreFiles(ctx, g, made, tell); err != nil {
		return r, err
	}
	r.Files, r.Bytes = int64(len(g.Files)), g.bytes()
	fault.Point("restore.copied")
	if taken {
		if r.Aside, err = moveAside(to.Lake, to.Clock()); err != nil {
			return r, failed(op, to.Lake, err)
		}
		fault.Point("restore.aside")
	}
	if err := os.Rename(made, to.Lake); err != nil {
		if errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) {
			err = fmt.Errorf("it is where a disk is mounted: name a folder in it, with --to or as lake of the pipeline file: %w", bare(err))
		}
		return r, failed(op, to.Lake, err)
	}
	if err := syncDir(filepath.Dir(to.Lake)); err != nil {
		return r, failed(op, to.Lake, err)
	}
	fault.Point("restore.placed")
	return r, nil
}

// filled reports whether there is anything at a path but an empty folder.
func filled(path string) (bool, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return true, nil
	}
	return len(entries) > 0, err
}

// moveAside gives what is at a path another name beside it.
func moveAside(path string, now time.Time) (string, error) {
	for at := now.UTC(); ; at = at.Add(time.Second) {
		aside := strings.TrimRight(path, "/") + ".before-" + at.Format("20060102t150405")
		if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return "", err
			}
			continue
		}
		if err := os.Rename(path, aside); err != nil {
			return "", err
		}
		return aside, syncDir(filepath.Dir(path))
	}
}

// restoreFiles makes the files of a generation in a folder, each durable.
func (f *Folder) restoreFiles(ctx context.Context, g *Generation, dir string, tell func(Progress)) error {
	const op = "backup.Restore"
	if err := makeDir(dir, 0o755); err != nil {
		return failed(op, dir, err)
	}
	var mu sync.Mutex
	at := Progress{AllFiles: int64(len(g.Files)), AllBytes: g.bytes()}
	folders := map[string]bool{dir: true}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(copiers)
	for _, c := range g.Files {
		for d := filepath.Dir(filepath.Join(dir, filepath.FromSlash(c.Path))); !folders[d]; d = filepath.Dir(d) {
			folders[d] = true
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return &tickerlake.Error{Code: tickerlake.Canceled, Op: op, Name: dir, Err: err}
			}
			if err := f.restoreFile(c, dir); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			at.Files, at.Bytes = at.Files+1, at.Bytes+c.Size
			if tell != nil {
				tell(at)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for d := range folders {
		if err := syncDir(d); err != nil {
			return failed(op, d, err)
		}
	}
	return nil
}

// restoreFile makes one file, if it is not there from a call that was cut off.
func (f *Folder) restoreFile(c Copy, dir string) error {
	const op = "backup.Restore"
	path := filepath.Join(dir, filepath.FromSlash(c.Path))
	if same(path, c) {
		return nil
	}
	from, err := os.Open(f.content(c.SHA256))
	if errors.Is(err, fs.ErrNotExist) {
		return tickerlake.Errorf(tickerlake.Damaged, op, c.Path, "its copy is missing in the backup: restore another generation (--generation; tickerlake backup --verify tells which are whole)")
	}
	if err != nil {
		return failed(op, f.content(c.SHA256), err)
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return failed(op, path, err)
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(c.Path, "log/") {
		mode = 0o600 // as deliver makes them
	}
	to, err := os.OpenFile(path+unfinishedSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return failed(op, path, err)
	}
	defer to.Close()
	sha, crc := sha256.New(), crc32.New(castagnoli)
	written := &counter{w: io.MultiWriter(to, sha, crc)}
	if _, err := io.CopyBuffer(written, onlyReader{from}, make([]byte, 256<<10)); err != nil {
		if written.err != nil {
			return failed(op, path, written.err)
		}
		return failed(op, f.content(c.SHA256), err)
	}
	if hex.EncodeToString(sha.Sum(nil)) != c.SHA256 || fmt.Sprintf("%08x", crc.Sum32()) != c.CRC32C {
		return tickerlake.Errorf(tickerlake.Damaged, op, c.Path, "its copy in the backup is not what was written: restore another generation (--generation; tickerlake backup --verify tells which are whole)")
	}
	// The ledger knows raw objects by their times.
	err = os.Chtimes(path+unfinishedSuffix, modified(c.Modified), modified(c.Modified))
	if err = errors.Join(err, to.Sync()); err != nil {
		return failed(op, path, err)
	}
	if err := os.Rename(path+unfinishedSuffix, path); err != nil {
		return failed(op, path, err)
	}
	fault.Point("restore.file")
	return nil
}

// same reports whether a file is there as it should be.
func same(path string, c Copy) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() != c.Size || info.ModTime().UnixNano() != c.Modified {
		return false
	}
	sum, err := sumOf(file)
	return err == nil && sum == c.SHA256
}
