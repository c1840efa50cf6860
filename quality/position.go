package quality

import (
	"errors"
	"fmt"

	"github.com/tickerlake/tickerlake"
)

// A Position is a place in the text of a ruleset.
type Position struct {
	// Line and Column count from 1; a column is one character.
	Line, Column int
	// Offset counts bytes from 0.
	Offset int
}

// String reads "line:column".
func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Column) }

// An Error is one mistake in a ruleset: where it is, and what would be right.
type Error struct {
	Pos     Position
	Message string
}

// Error is the message alone; the error around it tells the position.
func (e *Error) Error() string { return e.Message }

// mistake wraps an Error as the errors of the program are.
func mistake(op string, pos Position, format string, args ...any) error {
	return &tickerlake.Error{Code: tickerlake.Invalid, Op: op, Name: pos.String(),
		Err: &Error{Pos: pos, Message: fmt.Sprintf(format, args...)}}
}

// Errors lists the mistakes that err holds, in the order of the text, so that a
// caller can name the line of the file that the ruleset stands in.
func Errors(err error) []*Error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*Error
		for _, e := range many.Unwrap() {
			all = append(all, Errors(e)...)
		}
		return all
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return []*Error{e}
	}
	return nil
}
