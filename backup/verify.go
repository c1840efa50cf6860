package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/tickerlake/tickerlake"
)

// damagedSuffix is that of contents that Verify has put aside.
const damagedSuffix = ".damaged"

// A Verified is what reading a backup back has found.
type Verified struct {
	Generations []VerifiedGeneration `json:"generations"`
	Files       int64                `json:"files"` // contents, each read once
	Bytes       int64                `json:"bytes"`
	Damaged     int64                `json:"damaged"` // contents, and lists of generations
}

// A VerifiedGeneration says whether a generation can be restored.
type VerifiedGeneration struct {
	ID    string `json:"generation"`
	Whole bool   `json:"whole"`
	// Problems are what is wrong with its copies; Lake what was wrong with the lake.
	Problems []Problem `json:"problems"`
	Lake     []Problem `json:"lake_problems"`
}

// Verify reads a generation back, all if id is empty, and compares every file with its
// checksum. A content that is damaged is put aside, if the folder can be written to, so
// that the next backup copies it again if the lake still has it.
func (f *Folder) Verify(ctx context.Context, id string, tell func(Progress)) (v Verified, err error) {
	ids := []string{id}
	if id == "" {
		if ids, err = f.IDs(); err != nil {
			return v, err
		}
	}
	v.Generations = []VerifiedGeneration{}
	needed := map[string]int64{}
	lists := map[string]*Generation{}
	for _, id := range ids {
		g, err := f.Read(id)
		if err != nil && (!errors.Is(err, tickerlake.Damaged) || len(ids) == 1) {
			return v, err
		}
		one := VerifiedGeneration{ID: id, Problems: []Problem{}, Lake: []Problem{}}
		if err != nil {
			v.Damaged++
			one.Problems = append(one.Problems, Problem{Path: f.generation(id), Problem: err.Error()})
		} else {
			lists[id] = g
			one.Lake = append(one.Lake, g.Problems...)
			for _, c := range g.Files {
				needed[c.SHA256] = c.Size
			}
		}
		v.Generations = append(v.Generations, one)
	}
	at := Progress{AllFiles: int64(len(needed))}
	for _, size := range needed {
		at.AllBytes += size
	}
	wrong := map[string]string{}
	for _, sum := range slices.Sorted(maps.Keys(needed)) {
		if err := ctx.Err(); err != nil {
			return v, &tickerlake.Error{Code: tickerlake.Canceled, Op: "backup.Verify", Name: f.dir, Err: err}
		}
		why, err := f.verifyContent(sum)
		if err != nil {
			return v, err
		}
		if why != "" {
			wrong[sum] = why
			v.Damaged++
		}
		at.Files, at.Bytes = at.Files+1, at.Bytes+needed[sum]
		if tell != nil {
			tell(at)
		}
	}
	v.Files, v.Bytes = at.Files, at.Bytes
	for i := range v.Generations {
		one := &v.Generations[i]
		if g := lists[one.ID]; g != nil {
			for _, c := range g.Files {
				if why := wrong[c.SHA256]; why != "" {
					one.Problems = append(one.Problems, Problem{Path: c.Path, Problem: why})
				}
			}
		}
		one.Whole = len(one.Problems) == 0
	}
	return v, nil
}

// verifyContent reads one content, and says what is wrong with it.
func (f *Folder) verifyContent(sum string) (why string, err error) {
	path := f.content(sum)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "the copy is missing", nil
	}
	if err != nil {
		return "", failed("backup.Verify", path, err)
	}
	defer file.Close()
	is, err := readBack(file)
	if err == nil && is == sum {
		return "", nil
	}
	why = "the copy is not what was written"
	if err != nil {
		why = fmt.Sprintf("the copy cannot be read (%v)", bare(err))
	}
	if err := os.Rename(path, path+damagedSuffix); err == nil {
		why += "; it is put aside, and the next backup copies the file again if the lake still has it"
	}
	return why, nil
}
