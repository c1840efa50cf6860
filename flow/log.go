package flow

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tickerlake/tickerlake"
)

// A runLog writes to the main log and to a file of the run.
type runLog struct {
	*slog.Logger
	file *os.File
}

func openRunLog(o Options, run string) (*runLog, error) {
	if o.LogDir == "" {
		return &runLog{Logger: o.Log}, nil
	}
	if err := os.MkdirAll(o.LogDir, 0o750); err != nil {
		return nil, logError("flow.openRunLog", err)
	}
	file, err := os.OpenFile(logFile(o.LogDir, run), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, logError("flow.openRunLog", err)
	}
	return &runLog{slog.New(slog.NewMultiHandler(o.Log.Handler(), o.LogHandler(file))), file}, nil
}

func (l *runLog) Close() error {
	if l.file == nil {
		return nil
	}
	if err := l.file.Close(); err != nil {
		return logError("flow.runLog.Close", err)
	}
	return nil
}

func logFile(dir, run string) string { return filepath.Join(dir, run+".jsonl") }

func removeRunLogs(dir string, runs []string) error {
	if dir == "" {
		return nil
	}
	for _, run := range runs {
		if err := os.Remove(logFile(dir, run)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return logError("flow.removeRunLogs", err)
		}
	}
	return nil
}

func logError(op string, err error) error {
	code := tickerlake.Internal
	if errors.Is(err, fs.ErrPermission) {
		code = tickerlake.Denied
	}
	return &tickerlake.Error{Code: code, Op: op, Name: "log of the run", Err: err}
}
