package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// Prune removes all generations but the newest keep, none if keep is 0, and then what no
// generation needs any more. sweep looks for that also if no generation goes, as after a
// backup that was cut off.
func (f *Folder) Prune(keep int, sweep bool) (pruned []string, freed int64, err error) {
	const op = "backup.Prune"
	ids, err := f.IDs()
	if err != nil {
		return nil, 0, err
	}
	if n := len(ids) - keep; keep > 0 && n > 0 {
		pruned, ids = ids[:n], ids[n:]
	}
	if len(pruned) == 0 && !sweep {
		return nil, 0, nil
	}
	// Nothing is deleted while it is not known what is needed.
	needed := map[string]bool{}
	for _, id := range ids {
		g, err := f.Read(id)
		if err != nil {
			return nil, 0, err
		}
		for _, c := range g.Files {
			needed[c.SHA256] = true
		}
	}
	for _, id := range pruned {
		if err := os.Remove(f.generation(id)); err != nil {
			return nil, 0, failed(op, f.generation(id), err)
		}
		fault.Point("backup.pruned")
	}
	// On disk before their files go: a generation is whole or not there.
	if err := syncDir(f.path(generationsName)); err != nil {
		return nil, 0, failed(op, f.dir, err)
	}
	freed, err = f.sweep(needed)
	return pruned, freed, err
}

// sweep deletes the contents that are not needed.
func (f *Folder) sweep(needed map[string]bool) (freed int64, err error) {
	root := f.path(filesName)
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if needed[filepath.Base(filepath.Dir(path))+e.Name()] {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		freed += info.Size()
		if err := os.Remove(path); err != nil {
			return err
		}
		fault.Point("backup.swept")
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return freed, failedOrNil("backup.Prune", f.dir, err)
}

// A Listed is a generation for people.
type Listed struct {
	ID       string    `json:"generation"`
	At       string    `json:"at,omitempty"`
	Files    int64     `json:"files"`
	Bytes    int64     `json:"bytes"`
	Problems []Problem `json:"problems"`
}

// List tells of the generations, the oldest first.
func (f *Folder) List() ([]Listed, error) {
	ids, err := f.IDs()
	if err != nil {
		return nil, err
	}
	out := []Listed{}
	for _, id := range ids {
		g, err := f.Read(id)
		if errors.Is(err, tickerlake.Damaged) {
			out = append(out, Listed{ID: id, Problems: []Problem{{Path: f.generation(id), Problem: err.Error()}}})
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, Listed{ID: id, At: g.At.UTC().Format("2006-01-02T15:04:05.000Z"), Files: int64(len(g.Files)), Bytes: g.bytes(), Problems: append([]Problem{}, g.Problems...)})
	}
	return out, nil
}
