package lake

import (
	"os"
	"path/filepath"
)

// What jobs leave for the next ones in staging is not synced: it is large, and gone soon.
// A power cut may lose it or, worse, a part of it. So a run keeps in mind in which start
// of the machine it began, and one that was cut off is not taken up in another.
const bootFile = "boot"

// markBoot notes the start of the machine for a run that begins.
func (l *Lake) markBoot(run string) error {
	if err := l.files.MakeDir(l.staging(run)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.staging(run), bootFile), []byte(bootID()), 0o644)
}

// Trusts reports whether a run that was cut off may be taken up: the machine has not been
// started anew since it began, so that what its jobs have left is what they wrote.
func (l *Lake) Trusts(run string) bool {
	text, err := os.ReadFile(filepath.Join(l.staging(run), bootFile))
	id := bootID()
	return err == nil && id != "" && string(text) == id
}
