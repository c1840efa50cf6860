package main

import (
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect/simulate"
)

func (a *app) simulateCommand() *cobra.Command {
	var addr, replay string
	var seed uint64
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Serve a market over HTTP: made-up prices, or CSV files",
		Long: `Serves daily bars in the form of the seed's API (/getSingleStockDetails and
/getSingleStockDetailsInDepth) until it is stopped. Prices are made up from the seed, the
same for the same seed; with --replay they are those of CSV files, one a symbol, with the
columns Date,Open,High,Low,Close,Adj Close,Volume. Every answer says in its header
Tickerlake-Simulated which it is.

With -c the market lives on the clock of that pipeline file, if it has one.`,
		Example: `  tickerlake simulate --addr 127.0.0.1:8099
  tickerlake simulate --replay ./csv`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			clock, err := a.marketClock(cmd)
			if err != nil {
				return err
			}
			market, err := simulate.New(simulate.Options{Seed: seed, Replay: replay, Clock: clock})
			if err != nil {
				return err
			}
			what := fmt.Sprintf("simulated prices, seed %d", seed)
			if replay != "" {
				what = "the files of " + replay
			}
			return market.Serve(cmd.Context(), addr, func(at net.Addr) {
				fmt.Fprintf(a.Stdout, "serving %s at http://%s (stop with Ctrl-C)\n", what, at)
			})
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8099", "address to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&replay, "replay", "", "a folder of CSV files to serve instead")
	cmd.Flags().Uint64Var(&seed, "seed", 0, "which made-up market")
	return cmd
}

// marketClock is the clock of the pipeline file that was named, else the real one.
func (a *app) marketClock(cmd *cobra.Command) (tickerlake.Clock, error) {
	if !cmd.Flags().Changed("config") {
		return a.Clock, nil
	}
	file, err := a.load()
	if err != nil || !file.Clock.Given() {
		return a.Clock, err
	}
	dir := file.LakeDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, diskError("simulate", dir, err)
	}
	pace, err := keepClock(dir, file, a.Clock)
	return pace.Now, err
}
