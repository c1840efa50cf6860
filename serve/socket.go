package serve

import (
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/tickerlake/tickerlake"
)

// maxSocket is how long the path of a socket may be everywhere: macOS has 104 bytes.
const maxSocket = 100

// A Socket is where other processes of the same user reach the holder of a lake.
type Socket struct {
	net.Listener
	path, dir string
}

// OpenSocket makes the socket of a lake in its folder, in one that nobody else may
// enter; if the path of that is too long for a socket, in the folder of temporary files.
// before is where the last holder had it: what is left there is removed.
func OpenSocket(lake, before string) (*Socket, error) {
	const op = "serve.OpenSocket"
	s := &Socket{dir: filepath.Join(lake, "up")}
	removeSocket(before)
	var err error
	if s.path = filepath.Join(s.dir, "socket"); len(s.path) > maxSocket {
		s.dir, err = os.MkdirTemp("", tempPattern)
		s.path = filepath.Join(s.dir, "socket")
	} else if err = os.MkdirAll(s.dir, 0o700); err == nil {
		err = os.Chmod(s.dir, 0o700)
	}
	if err == nil {
		if err = os.Remove(s.path); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		s.Listener, err = net.Listen("unix", s.path)
	}
	if err == nil {
		err = os.Chmod(s.path, 0o600)
	}
	if err != nil {
		return nil, errors.Join(&tickerlake.Error{Code: tickerlake.Internal, Op: op, Name: s.path, Err: err}, s.Close())
	}
	return s, nil
}

// tempPattern is what folders of sockets among the temporary files are named.
const tempPattern = "tickerlake-up-*"

// removeSocket removes what a holder that was killed has left.
func removeSocket(path string) {
	if filepath.Base(path) != "socket" {
		return
	}
	dir := filepath.Dir(path)
	if ours, err := filepath.Match(tempPattern, filepath.Base(dir)); err == nil && ours {
		_ = os.Remove(path)
		_ = os.Remove(dir)
	}
}

// Path is the address of the socket.
func (s *Socket) Path() string { return s.path }

// Close removes the socket. It may be called more than once.
func (s *Socket) Close() error {
	var err error
	if s.Listener != nil {
		if err = s.Listener.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	removeSocket(s.path)
	return err
}
