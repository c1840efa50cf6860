package tickerlake

import (
	"errors"
	"fmt"
	"net/http"
)

// A Code classifies an error for programs. It is itself an error, so that
// errors.Is(err, tickerlake.NotFound) holds however deep the code lies.
type Code string

// The codes.
const (
	Invalid      Code = "invalid"       // wrong use, configuration or input
	NotFound     Code = "not_found"     // no such thing
	Exists       Code = "exists"        // the thing is there already
	Conflict     Code = "conflict"      // it changed meanwhile, or contradicts what is stored
	Locked       Code = "locked"        // another program holds it
	Damaged      Code = "damaged"       // bytes are not what was written
	Full         Code = "full"          // no room: disk, quota or limit
	Denied       Code = "denied"        // not permitted
	Unavailable  Code = "unavailable"   // try again later
	Timeout      Code = "timeout"       // took longer than allowed
	Canceled     Code = "canceled"      // the caller gave up
	GateFailed   Code = "gate_failed"   // a quality gate was not passed
	SourceFailed Code = "source_failed" // a source did not answer as it should
	Internal     Code = "internal"      // a defect of the program
)

// Error makes a Code usable as the target of errors.Is.
func (c Code) Error() string { return string(c) }

// codes is the one table that maps codes to the exit status of the program and
// the status of an HTTP answer.
var codes = map[Code]struct{ exit, http int }{
	Invalid:      {2, http.StatusBadRequest},
	NotFound:     {1, http.StatusNotFound},
	Exists:       {1, http.StatusConflict},
	Conflict:     {1, http.StatusConflict},
	Locked:       {1, http.StatusLocked},
	Damaged:      {1, http.StatusInternalServerError},
	Full:         {1, http.StatusInsufficientStorage},
	Denied:       {1, http.StatusForbidden},
	Unavailable:  {1, http.StatusServiceUnavailable},
	Timeout:      {1, http.StatusGatewayTimeout},
	Canceled:     {1, 499},
	GateFailed:   {3, http.StatusUnprocessableEntity},
	SourceFailed: {4, http.StatusBadGateway},
	Internal:     {1, http.StatusInternalServerError},
}

// ExitStatus is the exit status of a program that ends with err: 0 done, 1 failed,
// 2 wrong use or configuration, 3 quality gate not passed, 4 a source failed.
func ExitStatus(err error) int {
	if err == nil {
		return 0
	}
	if c, ok := codes[CodeOf(err)]; ok {
		return c.exit
	}
	return 1
}

// HTTPStatus is the status of an HTTP answer that reports err.
func HTTPStatus(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if c, ok := codes[CodeOf(err)]; ok {
		return c.http
	}
	return http.StatusInternalServerError
}

// An Error says what failed: Op is the operation (package and function, as in
// "config.Load"), Name what it was done to (a file and line, the key of an object,
// a symbol), Err why, and what to do.
type Error struct {
	Code Code
	Op   string
	Name string
	Err  error
}

// Errorf makes an Error whose cause is formatted as by fmt.Errorf.
func Errorf(code Code, op, name, format string, args ...any) error {
	return &Error{Code: code, Op: op, Name: name, Err: fmt.Errorf(format, args...)}
}

// Error reads "name: cause". The operation is for logs, not for people.
func (e *Error) Error() string {
	switch {
	case e.Name == "" && e.Err == nil:
		return string(e.Code)
	case e.Name == "":
		return e.Err.Error()
	case e.Err == nil:
		return e.Name + ": " + string(e.Code)
	default:
		return e.Name + ": " + e.Err.Error()
	}
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the error's code.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// CodeOf is the code of the outermost Error in err's tree, Internal if it has none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if c, ok := errors.AsType[Code](err); ok {
		return c
	}
	return Internal
}
