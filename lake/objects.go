package lake

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/quality"
)

// objects are the files of the lake as rules on files see them.
type objects struct{ *Lake }

// rawBucket is how locations name it; a bare key is one of it, too.
const rawBucket = "s3://raw/"

// keyOf is the key in the raw bucket that a location means.
func keyOf(location string) (string, error) {
	if key, ok := strings.CutPrefix(location, rawBucket); ok {
		return key, nil
	}
	if strings.Contains(location, "://") {
		return "", tickerlake.Errorf(tickerlake.Invalid, "lake.List", location, "is no place of this lake: rules on files look below %s, or name a key there", rawBucket)
	}
	return strings.TrimPrefix(location, "/"), nil
}

// List implements quality.Files.
func (o objects) List(ctx context.Context, location string) ([]quality.File, error) {
	key, err := keyOf(location)
	if err != nil {
		return nil, err
	}
	var one, below []quality.File
	err = o.Raw.Each(ctx, key, "", func(x tickerlake.Object) error {
		f := quality.File{Location: rawBucket + x.Key, Size: x.Size, Modified: x.At}
		switch {
		case x.Key == key:
			one = append(one, f)
		case key == "" || strings.HasSuffix(key, "/") || strings.HasPrefix(x.Key, key+"/"):
			below = append(below, f)
		}
		return nil
	})
	if len(one) > 0 {
		return one, err
	}
	return below, err
}

// Open implements quality.Files: of objects of the raw bucket, and of files that hold
// the rows of a table.
func (o objects) Open(ctx context.Context, location string) (io.ReadCloser, error) {
	if key, err := keyOf(location); err == nil {
		return o.Raw.Open(ctx, key)
	}
	path, err := o.files.Path(location)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// filesOf are the files that hold the rows of a view, for rules on files that name no
// path.
func (l *Lake) filesOf(v View) ([]quality.File, error) {
	out := make([]quality.File, 0, len(v.Files))
	for _, path := range v.Files {
		info, err := os.Stat(path)
		if err != nil {
			return nil, tickerlake.Errorf(tickerlake.Damaged, "lake.filesOf", path, "%w", err)
		}
		below, err := filepath.Rel(l.files.Root, path)
		if err != nil {
			return nil, err
		}
		out = append(out, quality.File{Location: "s3://" + filepath.ToSlash(below), Size: info.Size(), Modified: info.ModTime().UTC()})
	}
	return out, nil
}
