package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect/simulate"
)

func (a *app) simulateCommand() *cobra.Command {
	var addr string
	var o simulate.Options
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Serve a market over HTTP: made-up prices, or CSV files",
		Long: `Serves a market until it is stopped, in the form of the seed's API
(/getSingleStockDetails and /getSingleStockDetailsInDepth: days) and of Yahoo's chart API
(/v8/finance/chart/SYMBOL: 1m, 5m, 15m, 1h and 1d). Prices are made up from the seed, the
same for the same seed: sessions of New York from 1990 until now, today's as far as it has
come, with splits and dividends. With --replay they are those of CSV files, one a symbol,
with the columns Date,Open,High,Low,Close,Adj Close,Volume or, of minutes in UTC,
Datetime,Open,High,Low,Close,Volume. Every answer says in its header Tickerlake-Simulated
which it is.

With -c the market lives on the clock of that pipeline file, if it has one.

--faults has it do what providers do at times: a list of NAME[(SYMBOL)][=RATE][@WHEN], all
for everything. WHEN is a date, or two dates or two times with / between; without it the
fault comes at any time. The rate is a share, and what is struck follows from the seed.

` + faultTable(),
		Example: `  tickerlake simulate --addr 127.0.0.1:8099
  tickerlake simulate --replay ./csv
  tickerlake simulate --faults "http500=0.1, split(AMZN)@2026-01-07, http429@2026-01-08T15:00:00Z/2026-01-08T15:10:00Z"`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			clock, err := a.marketClock(cmd)
			if err != nil {
				return err
			}
			o.Clock = clock
			market, err := simulate.New(o)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("simulated prices, seed %d", o.Seed)
			if o.Replay != "" {
				what = "the files of " + o.Replay
			}
			if o.Faults != "" {
				what += ", with faults"
			}
			return market.Serve(cmd.Context(), addr, func(at net.Addr) {
				fmt.Fprintf(a.Stdout, "serving %s at http://%s (stop with Ctrl-C)\n", what, at)
			})
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8099", "address to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&o.Replay, "replay", "", "a folder of CSV files to serve instead")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "which made-up market")
	cmd.Flags().StringVar(&o.Faults, "faults", "", "what goes wrong, with commas between")
	cmd.Flags().StringVar(&o.Currency, "currency", "", "that of the prices (default USD)")
	return cmd
}

// faultTable lists the faults for the help.
func faultTable() string {
	var b strings.Builder
	for _, f := range simulate.Faults() {
		line := fmt.Sprintf("  %-11s %s; by default %g of %s", f.Name, f.Text, f.Rate, f.Of)
		for len(line) > 90 { // as wide as the rest
			cut := strings.LastIndex(line[:90], " ")
			b.WriteString(line[:cut] + "\n")
			line = "             " + line[cut:]
		}
		b.WriteString(line + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
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
