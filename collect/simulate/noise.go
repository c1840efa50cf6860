package simulate

import (
	"hash/fnv"
	"time"
)

// A noise is a stream of random numbers (splitmix64).
type noise uint64

func (n *noise) next() uint64 {
	*n += 0x9e3779b97f4a7c15
	z := uint64(*n)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit is from 0 to 1.
func (n *noise) unit() float64 { return float64(n.next()>>11) / (1 << 53) }

// between is from a to b. The conversion, here and elsewhere, keeps a compiler from fusing
// product and sum, which would make prices differ between processors.
func (n *noise) between(a, b float64) float64 { return a + float64((b-a)*n.unit()) }

// below is from 0 to n-1.
func (n *noise) below(most int) int { return int(n.unit() * float64(most)) }

// named is the stream of a market that belongs to a name.
func named(seed uint64, name string) noise {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return noise(h.Sum64() ^ seed*0x2545f4914f6cdd1d)
}

// of is the part of a stream that belongs to a time: asking for it takes nothing from
// the stream.
func (n noise) of(t time.Time) noise { return n.at(t.Unix()) }

func (n noise) at(i int64) noise {
	part := n ^ noise(uint64(i)*0xd6e8feb86659fd93)
	part.next() // neighbours have little in common after one step
	return part
}
