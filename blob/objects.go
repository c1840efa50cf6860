package blob

import (
	"context"
	"io"

	"github.com/tickerlake/tickerlake"
)

// Each calls f for each object under a prefix that comes after startAfter, in the order
// of their keys, in the words of the stages.
func (d *Dir) Each(ctx context.Context, prefix, startAfter string, f func(tickerlake.Object) error) error {
	for info, err := range d.List(ctx, prefix, startAfter) {
		if err != nil {
			return err
		}
		if err := f(tickerlake.Object{Key: info.Key, Size: info.Size, ETag: info.ETag, At: info.Modified}); err != nil {
			return err
		}
	}
	return nil
}

// Open reads a whole object.
func (d *Dir) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	body, _, err := d.Get(ctx, key, 0, -1)
	return body, err
}
