package collect

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
)

// decimalOfFloat32 takes the noise off a number that its provider keeps as a float32 and
// writes as a float64: a value that is exactly a float32 becomes the shortest decimal
// of that float32, 182.00999450683594 becomes 182.01. Any other value stays as it is
// written, one that is rounded to fewer digits too: 182.0099945 may be a price.
func decimalOfFloat32(v any) any {
	var text string
	switch n := v.(type) {
	case json.Number:
		text = n.String()
	case int, float64, *big.Int:
		text = string(appendValue(nil, n))
	default:
		return v
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f == 0 || math.IsInf(f, 0) || float64(float32(f)) != f {
		return v
	}
	short := strconv.FormatFloat(f, 'g', -1, 32)
	if same, err := strconv.ParseFloat(short, 64); err != nil || same == f {
		return v // 182.5 and 3599.00 have no noise
	}
	return json.Number(short)
}
