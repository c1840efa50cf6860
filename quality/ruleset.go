package quality

import "time"

// A Ruleset is a parsed document.
type Ruleset struct {
	// Version is what the metadata say, empty without them.
	Version string
	// Primary and Additional are the data sources that the document names.
	Primary    string
	Additional []string
	Variables  []Variable
	// DefaultLabels are given to every rule that does not set them otherwise.
	DefaultLabels []Label
	Rules         []*Rule
	Analyzers     []*Rule
	// Warnings are things that are allowed and surely not meant.
	Warnings []*Error
}

// A Variable is a text or a list of texts with a name.
type Variable struct {
	Pos   Position
	Name  string
	Texts []Text
	List  bool
}

// A Label is a key and a value that a rule's result carries.
type Label struct{ Key, Value string }

// Composite is the type of a rule that joins two others by and or or.
const Composite = "Composite"

// A Rule is a rule, a composite of two rules, or an analyzer.
type Rule struct {
	Pos        Position
	Type       string
	Parameters []Parameter
	// Condition is nil if there is none.
	Condition *Condition
	// Where is an SQL condition that limits the rows, as written; empty without.
	Where    string
	WherePos Position
	// Labels are the rule's own and the document's defaults that it does not set.
	Labels []Label
	// Threshold is a condition on the share of rows that pass, nil if none.
	Threshold *Condition
	// Tags are the other things said after with: format, timeZone.
	Tags []Label

	// Operator is "and" or "or" for a composite, and Nested the rules it joins.
	Operator string
	Nested   []*Rule

	own []Label // labels without the defaults
	// written is the condition before its functions were worked out, nil if there are none.
	written *Condition
	// measures is set if the rule only measures: an analyzer, or what DetectAnomalies watches.
	measures bool
}

// A Parameter is a rule's parameter, named as AWS names it.
type Parameter struct {
	Pos  Position
	Name string
	// Value is the text with the variable resolved, escapes as written.
	Value string
	// Variable is the name of the variable it came from, Connector the "and" or
	// "of" before it; Bare is a name without quotes.
	Variable  string
	Connector string
	Bare      bool
}

// Kind says what a condition compares.
type Kind string

// The kinds of conditions. None is that of a rule without a condition.
const (
	KindNone     Kind = "none"
	KindNumber   Kind = "number"
	KindText     Kind = "text"
	KindDate     Kind = "date"
	KindDuration Kind = "duration"
	KindSize     Kind = "size"
)

// Op is the operator of a condition, as written.
type Op string

// The operators. The ends of between are outside the range.
const (
	Equal        Op = "="
	NotEqual     Op = "!="
	Greater      Op = ">"
	GreaterEqual Op = ">="
	Less         Op = "<"
	LessEqual    Op = "<="
	Between      Op = "between"
	NotBetween   Op = "not between"
	In           Op = "in"
	NotIn        Op = "not in"
	Matches      Op = "matches"
	NotMatches   Op = "not matches"
)

// A Condition compares what a rule measures with one or more operands.
type Condition struct {
	Pos      Position
	Kind     Kind
	Op       Op
	Operands []Operand
	// Variable is the name of the list that the operands of in came from.
	Variable string
}

// An Operand is one of Number, Binary, Call, Keyword, Text, Date, Duration, Size.
type Operand interface {
	String() string
	Position() Position
}

// A Number is a decimal number as written, with its sign.
type Number struct {
	Pos   Position
	Value string
}

// A Binary is arithmetic; operators apply from left to right.
type Binary struct {
	Pos         Position
	Op          string // + - * /
	Left, Right Operand
}

// A Call is a function of earlier results: avg(last(10)).
type Call struct {
	Pos  Position
	Name string
	Args []Operand
}

// A Keyword is NULL, EMPTY or WHITESPACES_ONLY.
type Keyword struct {
	Pos  Position
	Name string
}

// The keywords.
const (
	Null            = "NULL"
	Empty           = "EMPTY"
	WhitespacesOnly = "WHITESPACES_ONLY"
)

// A Text is a quoted text: Raw as written, Value what it means.
type Text struct {
	Pos      Position
	Raw      string
	Value    string
	Variable string
}

// A Date is a day, a time of day, or now with an offset.
type Date struct {
	Pos Position
	// Day is a date at midnight UTC, zero for the other forms.
	Day time.Time
	// Clock is a time of day as written: "9:30 AM", "09:30".
	Clock string
	// Now is set for now(), Sign is + or - if an Offset follows.
	Now    bool
	Sign   string
	Offset Duration
}

// A Duration is a whole number of days, hours or minutes.
type Duration struct {
	Pos    Position
	Amount int64
	Unit   string
}

// A Size is a whole number of B, KB, MB, GB or TB; a K is 1024.
type Size struct {
	Pos    Position
	Amount int64
	Unit   string
	bare   bool // written without a unit
}

// Position is where the operand begins.
func (n Number) Position() Position   { return n.Pos }
func (b Binary) Position() Position   { return b.Pos }
func (c Call) Position() Position     { return c.Pos }
func (k Keyword) Position() Position  { return k.Pos }
func (t Text) Position() Position     { return t.Pos }
func (d Date) Position() Position     { return d.Pos }
func (d Duration) Position() Position { return d.Pos }
func (s Size) Position() Position     { return s.Pos }

// Length is the duration as a length of time; a day is 24 hours.
func (d Duration) Length() time.Duration {
	unit := map[string]time.Duration{"days": 24 * time.Hour, "hours": time.Hour, "minutes": time.Minute}[d.Unit]
	return time.Duration(d.Amount) * unit
}

// Bytes is the size as a number of bytes.
func (s Size) Bytes() float64 {
	unit := map[string]float64{"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}[s.Unit]
	return float64(s.Amount) * unit
}
