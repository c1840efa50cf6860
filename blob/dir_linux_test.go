package blob_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
)

// TestDirDenied puts into a folder that may only be read. Root may write everywhere: then
// this thread works on files as another user.
func TestDirDenied(t *testing.T) {
	root := t.TempDir()
	if os.Geteuid() == 0 {
		const nobody = 65534
		if err := errors.Join(os.Chmod(filepath.Dir(root), 0o755), os.Chown(root, nobody, nobody)); err != nil {
			t.Fatal(err)
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
	}
	d := open(t, root)
	put := func(key string) error {
		_, err := d.Put(t.Context(), key, strings.NewReader("x"), blob.Condition{})
		return err
	}
	if err := put("a"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(root, 0o755) }()
	if err := put("b"); !errors.Is(err, tickerlake.Denied) {
		t.Errorf("put: %v", err)
	}
}
