package backup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/deliver"
	"github.com/tickerlake/tickerlake/internal/fault"
	"github.com/tickerlake/tickerlake/lake"
)

// Options say how a backup is taken.
type Options struct {
	Lake   *lake.Lake // a lease on it is held
	Stream string     // whose delivery log identifies the lake
	// Longest bounds how long the end of a run is waited for, which is not if Idle reports
	// that no program is at work; Told says that it is waited.
	Longest time.Duration
	Idle    func() bool
	Told    func(why string)
	// Keep is how many generations are kept, the newest; 0: all.
	Keep     int
	Progress func(Progress)
}

// A Taken is what a backup has done.
type Taken struct {
	Generation string    `json:"generation"`
	At         time.Time `json:"at"`
	Files      int64     `json:"files"`
	Bytes      int64     `json:"bytes"`
	NewFiles   int64     `json:"new_files"` // what was not there before
	NewBytes   int64     `json:"new_bytes"`
	// Problems are files that are missing or damaged in the lake.
	Problems []Problem `json:"problems"`
	Pruned   []string  `json:"pruned"` // generations
	Freed    int64     `json:"freed_bytes"`
}

// Take makes a generation of the lake as it is now. Files that are missing or damaged in
// the lake are told of, and the rest is kept all the same; then nothing is pruned.
func (f *Folder) Take(ctx context.Context, o Options) (t Taken, err error) {
	logs := map[string]*deliver.Pinned{}
	defer func() {
		for _, log := range logs {
			err = errors.Join(err, log.Close())
		}
	}()
	m, err := o.Lake.Moment(ctx, lake.Waiting{
		Idle: o.Idle, Told: o.Told, Longest: o.Longest,
		Beside: func() (err error) {
			logs, err = pinLogs(filepath.Join(o.Lake.Dir, "log"))
			return err
		},
	})
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	id := ""
	if log := logs[o.Stream]; log != nil {
		id = log.ID
	}
	if err := f.belongs(id); err != nil {
		return t, err
	}
	fault.Point("backup.frozen")
	c, interrupted, err := f.begin(o)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, c.copied.Close()) }()
	if err := c.moment(ctx, m, logs, o); err != nil {
		return t, err
	}
	g, err := f.finish(c, m.At, id)
	if err != nil {
		return t, err
	}
	t = Taken{
		Generation: g.ID, At: g.At, Files: int64(len(g.Files)), Bytes: g.bytes(), NewFiles: c.newFiles, NewBytes: c.newBytes,
		Problems: append([]Problem{}, g.Problems...), Pruned: []string{},
	}
	if len(g.Problems) > 0 {
		return t, nil // older generations may have what is damaged now
	}
	pruned, freed, err := f.Prune(o.Keep, interrupted)
	t.Pruned, t.Freed = append(t.Pruned, pruned...), freed
	return t, err
}

// pinLogs opens the delivery logs, by stream.
func pinLogs(dir string) (map[string]*deliver.Pinned, error) {
	logs := map[string]*deliver.Pinned{}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return logs, nil
	}
	if err != nil {
		return logs, failed("backup.Take", dir, err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		log, err := deliver.Pin(filepath.Join(dir, e.Name()))
		if err != nil {
			return logs, err
		}
		logs[e.Name()] = log
	}
	return logs, nil
}

// begin makes the folder ready to copy to.
func (f *Folder) begin(o Options) (c *copier, interrupted bool, err error) {
	const op = "backup.Take"
	c = &copier{folder: f, lake: o.Lake.Dir, tell: o.Progress, touched: map[string]bool{}}
	if c.known, interrupted, err = f.known(); err != nil {
		return c, false, err
	}
	if err := os.RemoveAll(f.path(tmpName)); err != nil {
		return c, false, failed(op, f.dir, err)
	}
	for _, name := range []string{tmpName, filesName, generationsName} {
		if err := makeDir(f.path(name), 0o700); err != nil {
			return c, false, failed(op, f.dir, err)
		}
	}
	c.copied, err = os.OpenFile(f.path(copiedName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = io.WriteString(c.copied, "\n") // after a line that was cut off
	}
	return c, interrupted, failedOrNil(op, f.dir, err)
}

// moment copies all that the lake has at a moment.
func (c *copier) moment(ctx context.Context, m *lake.Moment, logs map[string]*deliver.Pinned, o Options) error {
	const op = "backup.Take"
	dir := c.folder.path(tmpName, "moment")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return failed(op, c.folder.dir, err)
	}
	// The databases first: their own logs grow for as long as they are pinned.
	if err := m.Databases.CopyTo(ctx, dir); err != nil {
		return err
	}
	if err := m.Databases.Close(); err != nil {
		return err
	}
	fault.Point("backup.databases")
	if err := c.copyLogs(ctx, dir, logs); err != nil {
		return err
	}
	fault.Point("backup.logs")
	copied, err := catalog.Open(ctx, dir, o.Lake.Clock)
	if err != nil {
		return err
	}
	files, err := m.Files(ctx, copied)
	if err = errors.Join(err, copied.Close()); err != nil {
		return err
	}
	if err := c.copyAll(ctx, files); err != nil {
		return err
	}
	own := []string{"state.db", "catalog.db"}
	// A lake on a clock of its own goes on by it.
	switch text, err := os.ReadFile(filepath.Join(c.lake, clockName)); {
	case err == nil:
		if err := os.WriteFile(filepath.Join(dir, clockName), text, 0o600); err != nil {
			return failed(op, c.folder.dir, err)
		}
		own = append(own, clockName)
	case !errors.Is(err, fs.ErrNotExist):
		return failed(op, filepath.Join(c.lake, clockName), err)
	}
	return c.copyOwn(ctx, dir, own, m.At)
}

// clockName is the file of a lake that says what its time is, if not the real one.
const clockName = "clock"

// copyOwn copies files that the backup has made itself.
func (c *copier) copyOwn(ctx context.Context, dir string, paths []string, at time.Time) error {
	var own []lake.File
	for _, path := range paths {
		file, err := os.Open(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil {
			return failed("backup.Take", c.folder.dir, err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return failed("backup.Take", c.folder.dir, err)
		}
		own = append(own, lake.File{Path: path, Opened: file, Size: info.Size(), Modified: at})
	}
	return c.copyAll(ctx, own)
}

// copyLogs copies the pinned part of each delivery log, and has its frames read there.
func (c *copier) copyLogs(ctx context.Context, dir string, logs map[string]*deliver.Pinned) error {
	for stream, log := range logs {
		folder := filepath.Join(dir, "log", stream)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return failed("backup.Take", c.folder.dir, err)
		}
		for _, s := range log.Segments {
			if err := copySegment(filepath.Join(folder, s.Name), s); err != nil {
				return failed("backup.Take", c.folder.dir, err)
			}
		}
		damage, err := deliver.Examine(folder)
		if err != nil {
			return err
		}
		for _, d := range damage {
			c.problems = append(c.problems, Problem{Path: "log/" + stream + "/" + filepath.Base(d.File), Problem: d.Reason})
		}
		var paths []string
		for _, s := range log.Segments {
			paths = append(paths, "log/"+stream+"/"+s.Name)
		}
		if err := c.copyOwn(ctx, dir, paths, time.Unix(0, 0)); err != nil {
			return err
		}
	}
	return nil
}

// copySegment writes what a segment had. A failed write may have been cut off since: then
// it is shorter, by what no caller was answered for.
func copySegment(path string, s deliver.PinnedSegment) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(s.File, 0, s.Size))
	return errors.Join(err, to.Close())
}

// finish makes the generation one of the backup.
func (f *Folder) finish(c *copier, at time.Time, id string) (*Generation, error) {
	const op = "backup.Take"
	if err := c.settle(); err != nil {
		return nil, err
	}
	slices.SortFunc(c.files, func(a, b Copy) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(c.problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	ids, err := f.IDs()
	if err != nil {
		return nil, err
	}
	g := &Generation{
		Format: formatVersion, ID: nextID(at, ids), Lake: id, LakeFormat: catalog.StateVersion, At: at, Files: c.files, Problems: c.problems,
	}
	fault.Point("backup.settled")
	if err := f.write(g); err != nil {
		return nil, failed(op, f.dir, err)
	}
	fault.Point("backup.written")
	err = os.Remove(f.path(copiedName))
	err = errors.Join(err, os.RemoveAll(f.path(tmpName)))
	return g, failedOrNil(op, f.dir, err)
}
