package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/backup"
	"github.com/tickerlake/tickerlake/watch"
)

// backupWait is how long the end of a run is waited for if nothing else is said.
const backupWait = time.Minute

// A backupWish is what the flags of backup say.
type backupWish struct {
	keep         int
	wait         time.Duration
	verify, list bool
	generation   string
}

func (a *app) backupCommand() *cobra.Command {
	var w backupWish
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the lake as it is now into a folder, while it goes on",
		Long: `Copies the lake as it is at one moment into DIR, while tickerlake up, fetch and run go on:
the tables with all kept snapshots, raw objects, events, the state and what the delivery
logs hold. A record that was acknowledged before that moment is in the copy. If a run is
under way its end is waited for, for as long as --wait says; a lake that is restored from
a moment within a run begins that run anew.

DIR may be on the same disk, better on another. Each backup is a generation in it; what a
file holds is copied once, so that a generation costs what is new since the last. Every
copy is read back and compared with the checksum that the lake has of it. A backup that
was cut off is gone on with by the next. The pipeline file is not part of a lake: keep it
too.

With --verify the generations in DIR are read back instead, with --list they are shown;
both need no lake. tickerlake restore makes a lake of one.

Exit status 1 also if the lake has files that are missing or damaged: the rest is copied
all the same, and no generation is pruned.`,
		Example: `  tickerlake backup /mnt/disk/lake
  tickerlake backup /mnt/disk/lake --keep 14     # the last 14, and what they need
  tickerlake backup --verify /mnt/disk/lake`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case w.keep < 0:
				return wrongUse(cmd, fmt.Errorf("--keep %d: want 1 or more, or 0 for all", w.keep))
			case w.verify && w.list:
				return wrongUse(cmd, errors.New("--verify and --list exclude each other"))
			case (w.verify || w.list) && w.keep > 0:
				return wrongUse(cmd, errors.New("--keep is of a backup that is taken"))
			case w.generation != "" && !w.verify:
				return wrongUse(cmd, errors.New("--generation is for --verify; tickerlake restore has its own"))
			case w.list:
				return a.listBackup(args[0])
			case w.verify:
				return a.verifyBackup(cmd.Context(), args[0], w.generation)
			}
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error { return a.backup(ctx, p, args[0], w) })
		},
	}
	cmd.Flags().IntVar(&w.keep, "keep", 0, "prune all generations but the newest so many (default: none is pruned)")
	cmd.Flags().DurationVar(&w.wait, "wait", backupWait, "how long the end of a run may be waited for")
	cmd.Flags().BoolVar(&w.verify, "verify", false, "read the generations back and compare every file with its checksum")
	cmd.Flags().BoolVar(&w.list, "list", false, "show the generations")
	cmd.Flags().StringVar(&w.generation, "generation", "", "with --verify, only this one")
	return cmd
}

func (a *app) backup(ctx context.Context, p *pipeline, dir string, w backupWish) (err error) {
	if p.lease == nil {
		return tickerlake.Errorf(tickerlake.Denied, "backup", p.dir, "this user cannot write to the lake, so nothing would keep tidy from deleting what is being copied: give it the right to, or back up as another user")
	}
	folder, err := backup.Create(dir, p.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	show, clear := a.showFiles("copying")
	done, err := folder.Take(ctx, backup.Options{
		Lake: p.lake, Stream: streamName, Longest: w.wait, Keep: w.keep, Progress: show,
		Idle: func() bool { return lakeIdle(p.dir) },
		Told: func(why string) { fmt.Fprintf(a.Stderr, "waiting: %s\n", why) },
	})
	clear()
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(done)
	} else {
		_, err = fmt.Fprintf(a.Stdout, "generation %s in %s: %s (%s), of which %s (%s) are new\n", done.Generation, dir,
			plural(done.Files, "file"), sizeText(done.Bytes), plural(done.NewFiles, "file"), sizeText(done.NewBytes))
		if err == nil && len(done.Pruned) > 0 {
			_, err = fmt.Fprintf(a.Stdout, "%s pruned, %s freed\n", plural(int64(len(done.Pruned)), "generation"), sizeText(done.Freed))
		}
	}
	if err != nil || len(done.Problems) == 0 {
		return err
	}
	a.tellProblems("in the lake", done.Problems)
	fmt.Fprintln(a.Stderr, "tickerlake: the generation has these files as they are, and nothing was pruned: see tickerlake doctor")
	return reported(tickerlake.Damaged)
}

// showFiles shows how far a backup has come, on a terminal.
func (a *app) showFiles(what string) (show func(backup.Progress), clear func()) {
	if a.json || !watch.Terminal(a.Stderr) {
		return nil, func() {}
	}
	bar := watch.NewBar(a.Stderr, time.Now, true)
	return func(at backup.Progress) {
		fraction := -1.0
		if at.AllBytes > 0 {
			fraction = float64(at.Bytes) / float64(at.AllBytes)
		}
		bar.Show(what, fraction, fmt.Sprintf("%d of %s, %s", at.Files, plural(at.AllFiles, "file"), sizeText(at.Bytes)))
	}, bar.Clear
}

// tellProblems prints what is wrong with files, on Stderr.
func (a *app) tellProblems(where string, problems []backup.Problem) {
	const most = 20
	for _, p := range problems[:min(len(problems), most)] {
		fmt.Fprintf(a.Stderr, "%s: %s: %s\n", where, p.Path, p.Problem)
	}
	if more := len(problems) - most; more > 0 {
		fmt.Fprintf(a.Stderr, "and %d more (--json lists all)\n", more)
	}
}

func (a *app) listBackup(dir string) (err error) {
	folder, err := backup.Open(dir, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	list, err := folder.List()
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	rows := [][]string{{"GENERATION", "MOMENT (UTC)", "FILES", "SIZE", "PROBLEMS"}}
	for _, g := range list {
		rows = append(rows, []string{g.ID, g.At, strconv.FormatInt(g.Files, 10), sizeText(g.Bytes), strconv.Itoa(len(g.Problems))})
	}
	return a.columns(rows)
}

func (a *app) verifyBackup(ctx context.Context, dir, generation string) (err error) {
	folder, err := backup.Open(dir, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	show, clear := a.showFiles("reading")
	v, err := folder.Verify(ctx, generation, show)
	clear()
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(v)
	} else {
		for _, g := range v.Generations {
			if !g.Whole {
				a.tellProblems("generation "+g.ID, g.Problems)
			}
		}
		verdict := "all as written"
		if v.Damaged > 0 {
			verdict = fmt.Sprintf("%d damaged or missing", v.Damaged)
		}
		_, err = fmt.Fprintf(a.Stdout, "%s: %s, %s (%s) read: %s\n", dir, plural(int64(len(v.Generations)), "generation"), plural(v.Files, "file"), sizeText(v.Bytes), verdict)
	}
	if err == nil && v.Damaged > 0 {
		err = reported(tickerlake.Damaged)
	}
	return err
}

func (a *app) restoreCommand() *cobra.Command {
	var to, generation string
	var force bool
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a lake of a backup",
		Long: `Makes the lake of the pipeline file, or the folder --to, of the newest generation of the
backup in DIR, or of --generation. Every file is compared with its checksum while it is
copied. The lake is put together beside its place and takes it when it is whole; a restore
that was cut off is gone on with by the next.

A lake that is there is left alone without --force, which moves it aside to
LAKE.before-TIME. It must not be in use.

The restored lake goes on from the moment of the backup: the next fetch asks the sources
for everything since. What came to it in another way since (imported files) has to be
given again; the lake that was moved aside still has it.`,
		Example: `  tickerlake restore /mnt/disk/lake
  tickerlake restore /mnt/disk/lake --to /tmp/look     # beside the lake, to look at
  tickerlake restore /mnt/disk/lake --generation 20261125t031500-000 --force`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.restore(cmd.Context(), args[0], generation, backup.Place{Lake: to, Force: force, Clock: a.Clock})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the folder that becomes the lake (default that of the pipeline file)")
	cmd.Flags().StringVar(&generation, "generation", "", "which one (default the newest; tickerlake backup --list shows them)")
	cmd.Flags().BoolVar(&force, "force", false, "move aside what is there")
	return cmd
}

func (a *app) restore(ctx context.Context, dir, generation string, to backup.Place) (err error) {
	next := "name its folder as lake in a copy of the pipeline file, then tickerlake -c COPY doctor"
	if to.Lake == "" {
		next = "tickerlake doctor && tickerlake fetch && tickerlake run"
		file, err := a.load()
		if err != nil {
			return err
		}
		to.Lake = file.LakeDir()
	}
	if to.Lake, err = filepath.Abs(to.Lake); err != nil {
		return tickerlake.Errorf(tickerlake.Internal, "restore", to.Lake, "%w", err)
	}
	to.Lock = func() (func() error, error) {
		l, err := lockLake(to.Lake, "restore", a.Clock())
		if err != nil {
			return nil, err
		}
		return l.release, nil
	}
	folder, err := backup.Open(dir, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	show, clear := a.showFiles("restoring")
	done, err := folder.Restore(ctx, generation, to, show)
	clear()
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(done)
	}
	if len(done.Problems) > 0 {
		a.tellProblems("when the backup was taken", done.Problems)
	}
	if done.Aside != "" {
		if _, err := fmt.Fprintf(a.Stdout, "what was there is now %s\n", done.Aside); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(a.Stdout, "%s is the lake of %s UTC (generation %s): %s (%s)\nnext: %s\n",
		done.Lake, done.At.UTC().Format(time.DateTime), done.Generation, plural(done.Files, "file"), sizeText(done.Bytes), next)
	return err
}
