package backup

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// A Generation is a lake at one moment.
type Generation struct {
	Format     int       `json:"format"`
	ID         string    `json:"id"`
	Lake       string    `json:"lake"`        // the id of its delivery log
	LakeFormat int       `json:"lake_format"` // that of state.db
	At         time.Time `json:"at"`
	Files      []Copy    `json:"files"` // ordered by path
	// Problems are files that were missing or damaged in the lake; those that were there
	// are copied as they were.
	Problems []Problem `json:"problems,omitempty"`
}

// A Copy is a file of a generation.
type Copy struct {
	Path     string `json:"path"` // in the lake's folder, with slashes
	Size     int64  `json:"size"`
	SHA256   string `json:"sha256"` // hexadecimal: the name of its content
	CRC32C   string `json:"crc32c"` // as the lake records it
	Modified int64  `json:"modified"`
	Damaged  bool   `json:"damaged,omitempty"`
}

// bytes is the size of all files.
func (g *Generation) bytes() (n int64) {
	for _, c := range g.Files {
		n += c.Size
	}
	return n
}

const generationSuffix = ".json.gz"

// idForm is that of the ids of generations, which sort as time does.
const idForm = "20060102t150405.000"

// nextID makes the id of a generation, later than all that are there.
func nextID(at time.Time, ids []string) string {
	for at = at.UTC(); ; at = at.Add(time.Millisecond) {
		id := strings.Replace(at.Format(idForm), ".", "-", 1)
		if len(ids) == 0 || id > ids[len(ids)-1] {
			return id
		}
		if last, err := time.Parse(idForm, strings.Replace(ids[len(ids)-1], "-", ".", 1)); err == nil && last.After(at) {
			at = last
		}
	}
}

// IDs lists the generations, the oldest first.
func (f *Folder) IDs() ([]string, error) {
	entries, err := os.ReadDir(f.path(generationsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("backup.IDs", f.dir, err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), generationSuffix); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Read reads a generation, the newest if id is empty.
func (f *Folder) Read(id string) (*Generation, error) {
	const op = "backup.Read"
	if id == "" {
		ids, err := f.IDs()
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			return nil, tickerlake.Errorf(tickerlake.NotFound, op, f.dir, "has no generation: none of its backups came to its end")
		}
		id = ids[len(ids)-1]
	}
	path := f.generation(id)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || id != filepath.Base(id) {
		return nil, tickerlake.Errorf(tickerlake.NotFound, op, f.dir, "has no generation %q: tickerlake backup --list shows them", id)
	}
	if err != nil {
		return nil, failed(op, path, err)
	}
	g := &Generation{}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err == nil {
		if text, err = io.ReadAll(z); err == nil {
			err = json.Unmarshal(text, g)
		}
	}
	if err == nil {
		err = g.check(id)
	}
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Damaged, op, path, "the list of the generation's files is not what was written (%w): use another generation", err)
	}
	switch {
	case g.Format > formatVersion:
		return nil, tickerlake.Errorf(tickerlake.Invalid, op, path, "the generation has format %d, this program knows format %d: use a newer tickerlake", g.Format, formatVersion)
	case g.LakeFormat > catalog.StateVersion:
		return nil, tickerlake.Errorf(tickerlake.Invalid, op, path, "the lake in it has format %d, this program knows format %d: use a newer tickerlake", g.LakeFormat, catalog.StateVersion)
	}
	return g, nil
}

// check refuses what could lead out of a folder.
func (g *Generation) check(id string) error {
	if g.ID != id {
		return errors.New("it has another id")
	}
	for _, c := range g.Files {
		if sum, err := hex.DecodeString(c.SHA256); err != nil || len(sum) != 32 || strings.ToLower(c.SHA256) != c.SHA256 ||
			!filepath.IsLocal(filepath.FromSlash(c.Path)) || c.Size < 0 {
			return errors.New("a file of it is none")
		}
	}
	return nil
}

func (f *Folder) generation(id string) string { return f.path(generationsName, id+generationSuffix) }

// write makes a generation one of the backup.
func (f *Folder) write(g *Generation) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	_, err = z.Write(append(text, '\n'))
	if err := errors.Join(err, z.Close()); err != nil {
		return err
	}
	return replace(f.generation(g.ID), b.Bytes())
}

// known gives the copies that are there by path: those of all generations, and those that
// a backup has made that did not come to its end.
func (f *Folder) known() (copies map[string][]Copy, interrupted bool, err error) {
	ids, err := f.IDs()
	if err != nil {
		return nil, false, err
	}
	copies = map[string][]Copy{}
	add := func(c Copy) {
		if !c.Damaged && !slices.Contains(copies[c.Path], c) {
			copies[c.Path] = append(copies[c.Path], c)
		}
	}
	for _, id := range ids {
		g, err := f.Read(id)
		if errors.Is(err, tickerlake.Damaged) {
			continue // verify tells; what it named is copied again, or others name it too
		}
		if err != nil {
			return nil, false, err
		}
		for _, c := range g.Files {
			add(c)
		}
	}
	left, err := os.Open(f.path(copiedName))
	if errors.Is(err, fs.ErrNotExist) {
		return copies, false, nil
	}
	if err != nil {
		return nil, false, failed("backup.Take", f.path(copiedName), err)
	}
	defer left.Close()
	lines := bufio.NewScanner(left)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		one := Generation{Files: make([]Copy, 1)}
		if json.Unmarshal(lines.Bytes(), &one.Files[0]) == nil && one.check("") == nil {
			add(one.Files[0])
		}
	}
	return copies, true, failedOrNil("backup.Take", f.path(copiedName), lines.Err())
}
