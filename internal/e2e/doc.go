// Package e2e tests the program from outside, as its users meet it: it is built,
// started as a process of its own, given a pipeline file and a market, killed, starved
// of disk and watched; what is in its tables is compared with what the market said.
package e2e
