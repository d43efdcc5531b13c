//go:build race

package main

// raced: everything takes ten times as long, and much more memory.
const raced = true
