package collect

import (
	"embed"
	"strings"
)

//go:embed presets/*.yaml
var presets embed.FS

// Preset gives the description of a known source: YAML in the form of Config, to
// be decoded before the user's keys.
func Preset(name string) ([]byte, bool) {
	text, err := presets.ReadFile("presets/" + name + ".yaml")
	return text, err == nil
}

// Presets lists the names of the known sources in order.
func Presets() []string {
	entries, err := presets.ReadDir("presets")
	if err != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}
