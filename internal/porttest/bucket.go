// Package porttest holds the contract of each port as a test suite. Every adapter
// passes it: the embedded one and the one on AWS. Only tests import it.
package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
)

// A Store is a bucket, as package blob describes it.
type Store interface {
	Put(ctx context.Context, key string, body io.Reader, cond blob.Condition) (blob.Info, error)
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error)
	Head(ctx context.Context, key string) (blob.Info, error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error]
	Delete(ctx context.Context, key string) error
}

// Bucket holds a bucket to the contract of package blob. It calls open for an empty
// bucket as often as it likes.
func Bucket(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"put and get":        putGet,
		"ranges":             ranges,
		"if absent":          ifAbsent,
		"if match":           ifMatch,
		"list":               list,
		"many keys":          manyKeys,
		"delete":             remove,
		"concurrent absent":  concurrentAbsent,
		"concurrent replace": concurrentReplace,
		"hostile keys":       hostileKeys,
		"odd keys":           oddKeys,
		"failing body":       failingBody,
		"ended context":      endedContext,
		"a reader keeps":     readerKeeps,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func put(t *testing.T, b Store, key, body string) blob.Info {
	t.Helper()
	info, err := b.Put(t.Context(), key, strings.NewReader(body), blob.Condition{})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return info
}

func get(t *testing.T, b Store, key string, offset, length int64) string {
	t.Helper()
	r, _, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	body, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read %q: %v", key, err)
	}
	return string(body)
}

func want(t *testing.T, err error, code tickerlake.Code, what string) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("%s: %v, want the code %s", what, err, code)
	}
}

func keys(t *testing.T, b Store, prefix, startAfter string) []string {
	t.Helper()
	var out []string
	for info, err := range b.List(t.Context(), prefix, startAfter) {
		if err != nil {
			t.Fatalf("list %q after %q: %v", prefix, startAfter, err)
		}
		out = append(out, info.Key)
	}
	return out
}

func putGet(t *testing.T, b Store) {
	big := strings.Repeat("0123456789abcdef", 1<<17)
	for _, body := range []string{"one", "", big, "another"} {
		info := put(t, b, "a/b/c", body)
		if info.Key != "a/b/c" || info.Size != int64(len(body)) || info.ETag == "" || info.Modified.IsZero() {
			t.Errorf("put says %+v", info)
		}
		if got := get(t, b, "a/b/c", 0, -1); got != body {
			t.Errorf("got %d bytes, want %d as put", len(got), len(body))
		}
		head, err := b.Head(t.Context(), "a/b/c")
		if err != nil || head.Size != info.Size || head.ETag != info.ETag {
			t.Errorf("head says %+v, %v; put said %+v", head, err, info)
		}
	}
	_, err := b.Head(t.Context(), "a/b")
	want(t, err, tickerlake.NotFound, "head of a key that is only the beginning of others")
	_, _, err = b.Get(t.Context(), "a/b/d", 0, -1)
	want(t, err, tickerlake.NotFound, "get of a key that is not there")
	_, err = b.Head(t.Context(), "a/b/c/d")
	want(t, err, tickerlake.NotFound, "head of a key below an object")
}

func ranges(t *testing.T, b Store) {
	put(t, b, "k", "0123456789")
	for _, c := range []struct {
		offset, length int64
		want           string
	}{
		{0, -1, "0123456789"}, {0, 10, "0123456789"}, {0, 11, "0123456789"}, {3, 4, "3456"}, {9, 1, "9"},
		{8, 100, "89"}, {4, -1, "456789"}, {10, -1, ""}, {10, 5, ""}, {11, 1, ""}, {1 << 40, -1, ""}, {3, 0, ""},
	} {
		if got := get(t, b, "k", c.offset, c.length); got != c.want {
			t.Errorf("from %d, %d bytes: %q, want %q", c.offset, c.length, got, c.want)
		}
	}
	_, info, err := b.Get(t.Context(), "k", 20, 5)
	if err != nil || info.Size != 10 {
		t.Errorf("a range past the end says %+v, %v; want the size of the object", info, err)
	}
	_, _, err = b.Get(t.Context(), "k", -1, 5)
	want(t, err, tickerlake.Invalid, "a negative offset")
}

func ifAbsent(t *testing.T, b Store) {
	cond := blob.Condition{IfAbsent: true}
	if _, err := b.Put(t.Context(), "a/k", strings.NewReader("first"), cond); err != nil {
		t.Fatal(err)
	}
	_, err := b.Put(t.Context(), "a/k", strings.NewReader("second"), cond)
	want(t, err, tickerlake.Exists, "put of a taken key")
	if got := get(t, b, "a/k", 0, -1); got != "first" {
		t.Errorf("the refused put left %q", got)
	}
	if err := b.Delete(t.Context(), "a/k"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "a/k", strings.NewReader("third"), cond); err != nil {
		t.Errorf("put after delete: %v", err)
	}
	_, err = b.Put(t.Context(), "x", strings.NewReader(""), blob.Condition{IfAbsent: true, IfMatch: "e"})
	want(t, err, tickerlake.Invalid, "both conditions")
}

func ifMatch(t *testing.T, b Store) {
	_, err := b.Put(t.Context(), "k", strings.NewReader("x"), blob.Condition{IfMatch: "none"})
	want(t, err, tickerlake.Conflict, "replace of nothing")
	first := put(t, b, "k", "aaaa")
	second, err := b.Put(t.Context(), "k", strings.NewReader("bbbb"), blob.Condition{IfMatch: first.ETag})
	if err != nil {
		t.Fatal(err)
	}
	if second.ETag == first.ETag {
		t.Error("the ETag is the same after a replacement of equal size")
	}
	_, err = b.Put(t.Context(), "k", strings.NewReader("cccc"), blob.Condition{IfMatch: first.ETag})
	want(t, err, tickerlake.Conflict, "replace by an old ETag")
	if got := get(t, b, "k", 0, -1); got != "bbbb" {
		t.Errorf("the refused replacement left %q", got)
	}
}

func list(t *testing.T, b Store) {
	all := []string{"a", "b-c", "b.c", "b/c", "b/c-d", "b/d/e", "b/d/f", "b/é", "b0", "c/x", "日/本"}
	for _, k := range all {
		put(t, b, k, k)
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "a", "b", "b/", "b/c", "b/d/", "b/d", "/", "x", "b//", "..", "../", "b/../", "日", "b/d/e", "b/d/e/"} {
		for _, after := range append([]string{"", "b/", "b/d", "b/d/", "b/d/e0", "zzz", "b/zzz", "c"}, all...) {
			var expect []string
			for _, k := range all {
				if strings.HasPrefix(k, prefix) && k > after {
					expect = append(expect, k)
				}
			}
			if got := keys(t, b, prefix, after); !slices.Equal(got, expect) {
				t.Errorf("list %q after %q: %q, want %q", prefix, after, got, expect)
			}
		}
	}
	for info, err := range b.List(t.Context(), "b/d/", "") {
		head, herr := b.Head(t.Context(), info.Key)
		if err != nil || herr != nil || info.ETag != head.ETag || info.Size != int64(len(info.Key)) {
			t.Errorf("list says %+v, %v; head %+v, %v", info, err, head, herr)
		}
		break // stopping early is allowed
	}
}

func manyKeys(t *testing.T, b Store) {
	const n = 1200 // more than a page of S3
	for i := range n {
		put(t, b, fmt.Sprintf("m/%d/%04d", i%3, i), "")
	}
	got := keys(t, b, "m/", "")
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("%d keys, sorted %v; want %d", len(got), slices.IsSorted(got), n)
	}
	if got := keys(t, b, "m/", "m/2/0002"); len(got) != n/3-1 {
		t.Errorf("%d keys after the first of the last third, want %d", len(got), n/3-1)
	}
}

func remove(t *testing.T, b Store) {
	put(t, b, "a/b", "1")
	put(t, b, "a/c", "2")
	for range 2 {
		if err := b.Delete(t.Context(), "a/b"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if err := b.Delete(t.Context(), "a/c/d"); err != nil {
		t.Errorf("delete below an object: %v", err)
	}
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Errorf("delete of a key that is only the beginning of others: %v", err)
	}
	if got := keys(t, b, "", ""); !slices.Equal(got, []string{"a/c"}) {
		t.Errorf("left: %q", got)
	}
}

// concurrentAbsent lets writers race for each of some keys while others delete
// what lies beside, which makes and empties the folders.
func concurrentAbsent(t *testing.T, b Store) {
	const writers, rounds = 8, 20
	for round := range rounds {
		key := fmt.Sprintf("r/%d/k", round%4)
		var won atomic.Int32
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				_, err := b.Put(t.Context(), key, strings.NewReader(strings.Repeat(fmt.Sprint(w), 1000)), blob.Condition{IfAbsent: true})
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, tickerlake.Exists):
					t.Errorf("put: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of %d writers won, want exactly one", won.Load(), writers)
		}
		body := get(t, b, key, 0, -1)
		if len(body) != 1000 || strings.Count(body, body[:1]) != 1000 {
			t.Errorf("the object is a mixture of %d bytes", len(body))
		}
		if err := b.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
}

// concurrentReplace counts up in one object from several writers: no step is lost.
func concurrentReplace(t *testing.T, b Store) {
	const writers, steps = 4, 10
	put(t, b, "counter", "0")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < steps; {
				r, info, err := b.Get(t.Context(), "counter", 0, -1)
				if err != nil {
					t.Error(err)
					return
				}
				var n int
				_, err = fmt.Fscan(r, &n)
				if err := errors.Join(err, r.Close()); err != nil {
					t.Error(err)
					return
				}
				_, err = b.Put(t.Context(), "counter", strings.NewReader(fmt.Sprint(n+1)), blob.Condition{IfMatch: info.ETag})
				switch {
				case err == nil:
					done++
				case !errors.Is(err, tickerlake.Conflict):
					t.Errorf("replace: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := get(t, b, "counter", 0, -1); got != fmt.Sprint(writers*steps) {
		t.Errorf("counted to %s, want %d", got, writers*steps)
	}
}

func hostileKeys(t *testing.T, b Store) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "../a", "a/..", "a/../b", "a/../../b",
		"a\\b", "..\\a", "a\x00b", "\xff", "a/\xc3", strings.Repeat("x", 256), "a/" + strings.Repeat("x", 256) + "/b",
		strings.Repeat("abcdefg/", 128) + "k", "/etc/passwd",
	} {
		_, err := b.Put(t.Context(), key, strings.NewReader("x"), blob.Condition{})
		want(t, err, tickerlake.Invalid, fmt.Sprintf("put %q", key))
		_, _, err = b.Get(t.Context(), key, 0, -1)
		want(t, err, tickerlake.Invalid, fmt.Sprintf("get %q", key))
		_, err = b.Head(t.Context(), key)
		want(t, err, tickerlake.Invalid, fmt.Sprintf("head %q", key))
		want(t, b.Delete(t.Context(), key), tickerlake.Invalid, fmt.Sprintf("delete %q", key))
	}
	if got := keys(t, b, "", ""); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

func oddKeys(t *testing.T, b Store) {
	odd := []string{
		"a b", "a+b", "a%2Fb", "...", "..a", "a..", "-", "~", "#?&=;:@,$", "'\"", "dt=2026-11-24/x", "été/日本", "a\nb", "*",
		strings.Repeat("x", 255), strings.Repeat("abcdefg/", 127) + "k",
	}
	for _, key := range odd {
		put(t, b, key, key)
	}
	slices.Sort(odd)
	if got := keys(t, b, "", ""); !slices.Equal(got, odd) {
		t.Errorf("listed %q, want %q", got, odd)
	}
	for _, key := range odd {
		if got := get(t, b, key, 0, -1); got != key {
			t.Errorf("%q holds %q", key, got)
		}
	}
}

// failingBody breaks a body in its middle: nothing of it may be seen.
func failingBody(t *testing.T, b Store) {
	broken := errors.New("broken")
	body := io.MultiReader(strings.NewReader("half"), &failing{broken})
	if _, err := b.Put(t.Context(), "k", body, blob.Condition{}); !errors.Is(err, broken) {
		t.Errorf("put of a failing body: %v", err)
	}
	if got := keys(t, b, "", ""); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	put(t, b, "k", "whole")
	body = io.MultiReader(bytes.NewReader(make([]byte, 100)), &failing{broken})
	if _, err := b.Put(t.Context(), "k", body, blob.Condition{}); err == nil {
		t.Error("a failing body succeeded")
	}
	if got := get(t, b, "k", 0, -1); got != "whole" {
		t.Errorf("a failing overwrite left %q", got)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func endedContext(t *testing.T, b Store) {
	put(t, b, "k", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Put(ctx, "k2", strings.NewReader("x"), blob.Condition{})
	want(t, err, tickerlake.Canceled, "put")
	_, err = b.Head(ctx, "k")
	want(t, err, tickerlake.Canceled, "head")
	_, _, err = b.Get(ctx, "k", 0, -1)
	want(t, err, tickerlake.Canceled, "get")
	want(t, b.Delete(ctx, "k"), tickerlake.Canceled, "delete")
	var last error
	for _, err := range b.List(ctx, "", "") {
		last = err
	}
	want(t, last, tickerlake.Canceled, "list")
	if got := keys(t, b, "", ""); !slices.Equal(got, []string{"k"}) {
		t.Errorf("left: %q", got)
	}
}

// readerKeeps replaces and deletes an object while it is read.
func readerKeeps(t *testing.T, b Store) {
	old := strings.Repeat("o", 1<<20)
	put(t, b, "k", old)
	r, _, err := b.Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	put(t, b, "k", strings.Repeat("n", 1<<20))
	rest, err := io.ReadAll(r)
	if err != nil || string(head)+string(rest) != old {
		t.Errorf("the reader saw the replacement (%d bytes, %v)", len(rest), err)
	}
}
