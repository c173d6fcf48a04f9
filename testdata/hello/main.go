// Program hello is the smallest target.
package main

func main() {}
