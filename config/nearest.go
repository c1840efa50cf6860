package config

import (
	"maps"
	"slices"
	"strings"
)

// nearest gives the word of known that text was most likely meant to be, empty if
// none is near.
func nearest(text string, known []string) string {
	text = strings.ToLower(text)
	best, distance := "", max(2, len(text)/3)+1
	for _, k := range known {
		d := edits(text, k)
		if strings.ReplaceAll(text, "-", "_") == k {
			d = 0
		}
		if d < distance {
			best, distance = k, d
		}
	}
	if distance >= len(best) {
		return ""
	}
	return best
}

// edits counts the characters to insert, remove, replace or swap with their
// neighbor to make b of a.
func edits(a, b string) int {
	var before, last []int
	for i := range len(a) + 1 {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			if i == 0 {
				row[j] = j
				continue
			}
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
