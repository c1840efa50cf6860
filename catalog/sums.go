package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	icebergio "github.com/apache/iceberg-go/io"

	"github.com/tickerlake/tickerlake"
)

// SumsDir is the folder of checksums in the bucket prod.
//
// Iceberg records the sizes of data files and manifests and no checksums, and neither
// DuckDB nor the Avro of manifests has any of its own: a changed byte would be served. So
// Files records the size and CRC-32C of each file of prod when it makes it durable, in a
// file for each table, <bucket>/.sums/<table>, a line each:
//
//	<crc of the file, 8 hex digits> <size> <key within the table> <crc of the line before>
//
// The line is on disk before the file takes its place. A file without one is not checked.
const SumsDir = ".sums"

// prunedAt is the size from which on the sums of files that are gone are left out, each
// time that it has doubled.
const prunedAt = 128 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Sum is what was recorded of a file.
type Sum struct {
	Size int64
	CRC  uint32
}

// String is the Sum for people.
func (s Sum) String() string { return fmt.Sprintf("%d bytes with the CRC-32C %08x", s.Size, s.CRC) }

// sumsOf gives the file with the sums of a location's table and the key in it; false for
// locations without sums.
func (f Files) sumsOf(location string) (path, key string, ok bool) {
	rest, ok := strings.CutPrefix(location, "s3://prod/")
	if !ok {
		return "", "", false
	}
	table, key, ok := strings.Cut(rest, "/")
	return f.SumsFile(table), key, ok && !strings.ContainsAny(key, " \n")
}

// SumsFile is the local file with the sums of a table.
func (f Files) SumsFile(table string) string { return filepath.Join(f.Root, "prod", SumsDir, table) }

// SumFile reads a local file to its end.
func SumFile(path string) (Sum, error) {
	file, err := os.Open(path)
	if err != nil {
		return Sum{}, err
	}
	defer file.Close()
	h := crc32.New(castagnoli)
	n, err := io.CopyBuffer(onlyWriter{h}, file, make([]byte, 256<<10))
	return Sum{Size: n, CRC: h.Sum32()}, err
}

type onlyWriter struct{ io.Writer }

// record notes the sum of the local file at path as that of a location.
func (f Files) record(location, path string) error {
	sums, key, ok := f.sumsOf(location)
	if !ok {
		return nil
	}
	sum, err := SumFile(path)
	if err != nil {
		return err
	}
	return f.append(sums, sumLine(key, sum))
}

func sumLine(key string, s Sum) []byte {
	line := fmt.Appendf(nil, "%08x %d %s ", s.CRC, s.Size, key)
	return fmt.Appendf(line, "%08x\n", crc32.Checksum(line, castagnoli))
}

func (f Files) append(sums string, line []byte) error {
	if err := makeDurableDir(filepath.Dir(sums)); err != nil {
		return err
	}
	file, err := os.OpenFile(sums, os.O_RDWR|os.O_APPEND, 0)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		file, err = os.OpenFile(sums, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o644)
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		size := info.Size()
		if last := make([]byte, 1); size > 0 {
			if _, err := file.ReadAt(last, size-1); err == nil && last[0] != '\n' {
				line = append([]byte("\n"), line...) // after a line that was cut off
			}
		}
		if _, err = file.Write(line); err == nil {
			err = file.Sync()
		}
		if made {
			err = errors.Join(err, syncDir(filepath.Dir(sums)))
		}
		for doubled := int64(prunedAt); err == nil && doubled <= size+int64(len(line)); doubled *= 2 {
			if size < doubled {
				err = f.prune(sums)
			}
		}
	}
	return errors.Join(err, file.Close())
}

// prune leaves out the sums of files that are gone, and of equal keys all but two.
func (f Files) prune(sums string) error {
	text, err := os.ReadFile(sums)
	if err != nil {
		return err
	}
	table := filepath.Base(sums)
	count := map[string]int{}
	var kept [][]byte
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		key, _, ok := parseSum(lines[i])
		if count[key]++; !ok || count[key] > 2 {
			continue
		}
		if _, err := os.Stat(filepath.Join(f.Root, "prod", table, filepath.FromSlash(key))); err == nil {
			kept = append(kept, lines[i])
		}
	}
	var out []byte
	for i := len(kept) - 1; i >= 0; i-- {
		out = append(out, kept[i]...)
	}
	if err := os.WriteFile(sums+".new", out, 0o644); err != nil {
		return err
	}
	return replaceFile(sums+".new", sums)
}

func parseSum(line []byte) (key string, s Sum, ok bool) {
	body, found := bytes.CutSuffix(line, []byte("\n"))
	if !found || len(body) < 9 {
		return "", s, false
	}
	own, err := strconv.ParseUint(string(body[len(body)-8:]), 16, 32)
	if err != nil || uint32(own) != crc32.Checksum(body[:len(body)-8], castagnoli) {
		return "", s, false
	}
	parts := strings.Split(string(body), " ")
	if len(parts) != 4 {
		return "", s, false
	}
	crc, err := strconv.ParseUint(parts[0], 16, 32)
	if err != nil {
		return "", s, false
	}
	s.CRC = uint32(crc)
	s.Size, err = strconv.ParseInt(parts[1], 10, 64)
	return parts[2], s, err == nil
}

// Sums gives what is recorded of the files of a table by location, of each the last two
// at most, and how many lines cannot be read.
func (f Files) Sums(table string) (sums map[string][]Sum, unreadable int, err error) {
	text, err := os.ReadFile(f.SumsFile(table))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	sums = map[string][]Sum{}
	for line := range bytes.SplitAfterSeq(text, []byte("\n")) {
		if len(line) <= 1 {
			continue
		}
		key, s, ok := parseSum(line)
		if !ok {
			unreadable++
			continue
		}
		location := "s3://prod/" + table + "/" + key
		sums[location] = append(sums[location], s)
		if n := len(sums[location]); n > 2 {
			sums[location] = sums[location][n-2:]
		}
	}
	return sums, unreadable, err
}

// recorded gives the last two sums of one location, without reading those of others.
func (f Files) recorded(location string) ([]Sum, error) {
	sums, key, ok := f.sumsOf(location)
	if !ok {
		return nil, nil
	}
	text, err := os.ReadFile(sums)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	var out []Sum
	for part := []byte(" " + key + " "); len(out) < 2; {
		at := bytes.LastIndex(text, part)
		if at < 0 {
			break
		}
		begin, end := bytes.LastIndexByte(text[:at], '\n')+1, bytes.IndexByte(text[at:], '\n')
		if end >= 0 {
			if _, s, ok := parseSum(text[begin : at+end+1]); ok {
				out = append(out, s)
			}
		}
		text = text[:begin]
	}
	return out, nil
}

// Matches compares a file as it is with what is recorded of it. Nothing recorded is no
// difference.
func Matches(location string, is Sum, recorded []Sum) error {
	for _, r := range recorded {
		if r == is {
			return nil
		}
	}
	if len(recorded) == 0 {
		return nil
	}
	return tickerlake.Errorf(tickerlake.Damaged, "catalog.Files", location,
		"the file has %s, it was written with %s: see tickerlake doctor", is, recorded[0])
}

// Check reads the file of a location and compares it with what is recorded of it; known
// is false if nothing is. It fails with Damaged if they differ or the file is not there.
func (f Files) Check(location string) (known bool, err error) {
	path, err := f.Path(location)
	if err != nil {
		return false, err
	}
	recorded, err := f.recorded(location)
	if err != nil {
		return false, err
	}
	is, err := SumFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, gone(location)
	}
	if err != nil {
		return false, err
	}
	if err := Matches(location, is, recorded); err != nil {
		// It may have been replaced between the two looks.
		if recorded, again := f.recorded(location); again == nil && Matches(location, is, recorded) == nil {
			return true, nil
		}
		return true, err
	}
	return len(recorded) > 0, nil
}

// Missing is the error of a file that was written and is not there, nil if it never was.
func (f Files) Missing(location string) error {
	recorded, err := f.recorded(location)
	if err != nil || len(recorded) == 0 {
		return err
	}
	return gone(location)
}

func gone(location string) error {
	return tickerlake.Errorf(tickerlake.Damaged, "catalog.Files", location, "the file is missing: see tickerlake doctor")
}

// checked reads a file of metadata and compares it with what is recorded of it.
func (f Files) checked(location string) ([]byte, error) {
	path, err := f.Path(location)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(location, "s3://prod/") {
		return nil, gone(location)
	}
	if err != nil {
		return nil, err
	}
	recorded, err := f.recorded(location)
	if err != nil {
		return nil, err
	}
	return text, Matches(location, Sum{Size: int64(len(text)), CRC: crc32.Checksum(text, castagnoli)}, recorded)
}

// metadata reports whether a location is one of Iceberg's own files, which are read
// whole.
func metadata(location string) bool {
	return strings.HasSuffix(location, ".avro") || strings.HasSuffix(location, ".json")
}

// A readFile is a file that has been read and checked.
type readFile struct {
	*bytes.Reader
	name string
}

var _ icebergio.File = readFile{}

func (f readFile) Close() error               { return nil }
func (f readFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f readFile) Name() string               { return f.name }
func (f readFile) Size() int64                { return f.Reader.Size() }
func (f readFile) Mode() fs.FileMode          { return 0o444 }
func (f readFile) ModTime() time.Time         { return time.Time{} }
func (f readFile) IsDir() bool                { return false }
func (f readFile) Sys() any                   { return nil }
