//go:build !go1.23 && !goexperiment.rangefunc

package main

var newer []func()
