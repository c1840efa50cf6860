package blob_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/internal/porttest"
)

const childEnv = "TICKERLAKE_BLOB_TEST_CHILD"

func TestMain(m *testing.M) {
	if root := os.Getenv(childEnv); root != "" {
		os.Exit(fullDisk(root))
	}
	os.Exit(m.Run())
}

func open(t *testing.T, root string) *blob.Dir {
	t.Helper()
	d, err := blob.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestDirContract(t *testing.T) {
	porttest.Bucket(t, func(t *testing.T) porttest.Store { return open(t, t.TempDir()) })
}

// Two handles on one folder are as two processes: each has locks of its own.
func TestDirContractTwoHandles(t *testing.T) {
	porttest.Bucket(t, func(t *testing.T) porttest.Store {
		root := t.TempDir()
		return &alternating{Store: open(t, root), other: open(t, root)}
	})
}

type alternating struct {
	porttest.Store
	other porttest.Store
	puts  atomic.Int64
}

func (a *alternating) Put(ctx context.Context, key string, body io.Reader, cond blob.Condition) (blob.Info, error) {
	if a.puts.Add(1)%2 == 0 {
		return a.other.Put(ctx, key, body, cond)
	}
	return a.Store.Put(ctx, key, body, cond)
}

func TestDirLinksDoNotLeadOut(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, root)
	for name, target := range map[string]string{"abs": outside, "rel": "../" + filepath.Base(outside), "file": secret} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"abs/secret", "rel/secret"} {
		_, _, err := d.Get(t.Context(), key, 0, -1)
		if !errors.Is(err, tickerlake.Denied) || !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("get %s: %v", key, err)
		}
		if _, err := d.Put(t.Context(), key, strings.NewReader("x"), blob.Condition{}); err == nil {
			t.Errorf("put %s succeeded", key)
		}
		if err := d.Delete(t.Context(), key); err == nil {
			t.Errorf("delete %s succeeded", key)
		}
		if _, err := d.Path(key); err == nil {
			t.Errorf("path of %s was given", key)
		}
	}
	if _, _, err := d.Get(t.Context(), "file", 0, -1); !errors.Is(err, tickerlake.NotFound) {
		t.Errorf("get of a link to a file: %v", err)
	}
	for info, err := range d.List(t.Context(), "", "") {
		t.Errorf("listed %+v, %v", info, err)
	}
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
		t.Errorf("the file outside is %q, %v", got, err)
	}
}

func TestDirKeysBesideKeys(t *testing.T) {
	d := open(t, t.TempDir())
	for _, c := range []struct{ first, second string }{{"a", "a/b"}, {"c/d", "c"}, {"e/f/g", "e/f"}} {
		if _, err := d.Put(t.Context(), c.first, strings.NewReader(""), blob.Condition{}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Put(t.Context(), c.second, strings.NewReader(""), blob.Condition{}); !errors.Is(err, tickerlake.Invalid) {
			t.Errorf("put %s beside %s: %v", c.second, c.first, err)
		}
	}
	if _, err := d.Put(t.Context(), ".blob/tmp/x", strings.NewReader(""), blob.Condition{}); !errors.Is(err, tickerlake.Invalid) {
		t.Errorf("put in the hidden folder: %v", err)
	}
}

func TestDirRemovesLeftoversOnly(t *testing.T) {
	root := t.TempDir()
	d := open(t, root)
	left := filepath.Join(root, ".blob", "tmp", "LEFT")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A Put in progress of another handle must survive the clearing.
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := d.Put(t.Context(), "slow", r, blob.Condition{})
		done <- err
	}()
	if _, err := w.Write([]byte("first ")); err != nil { // returns once Put has its file
		t.Fatal(err)
	}
	open(t, root)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is still there: %v", err)
	}
	if _, err := w.Write([]byte("second")); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := <-done; err != nil {
		t.Errorf("the put in progress: %v", err)
	}
	rc, _, err := d.Get(t.Context(), "slow", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(rc)
	_ = rc.Close()
	if string(body) != "first second" {
		t.Errorf("it holds %q", body)
	}
}

func TestDirPath(t *testing.T) {
	root := filepath.Join(t.TempDir(), "new", "bucket")
	d := open(t, root)
	if _, err := d.Put(t.Context(), "a/b", strings.NewReader("x"), blob.Condition{}); err != nil {
		t.Fatal(err)
	}
	path, err := d.Path("a/b")
	if err != nil || path != filepath.Join(root, "a", "b") {
		t.Errorf("path %q, %v", path, err)
	}
	if err := d.Delete(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the emptied folder stayed: %v", err)
	}
}

// A file size limit stands for a full disk.
func TestDirFull(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), childEnv+"="+t.TempDir())
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func fullDisk(root string) int {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 16, Max: 1 << 16}); err != nil {
		println(err.Error())
		return 1
	}
	d, err := blob.OpenDir(root)
	if err != nil {
		println(err.Error())
		return 1
	}
	_, err = d.Put(context.Background(), "k", strings.NewReader(strings.Repeat("x", 1<<17)), blob.Condition{})
	if !errors.Is(err, tickerlake.Full) || !strings.Contains(err.Error(), filepath.Join(root, "k")) || !strings.Contains(err.Error(), "free space") {
		println("error:", err.Error())
		return 1
	}
	entries, err := os.ReadDir(filepath.Join(root, ".blob", "tmp"))
	if err != nil || len(entries) != 0 {
		println("a temporary file was left")
		return 1
	}
	if _, err := d.Put(context.Background(), "k", strings.NewReader("small"), blob.Condition{}); err != nil {
		println("a small put afterwards:", err.Error())
		return 1
	}
	return 0
}
