// Package main does it.
package main

import (
	"fmt"
	str "strings"
)

import "os"

// Limit is the most.
const Limit = 10
const (
	First = iota
	Second
)

var Global, other = 1, 2

type Shape interface {
	Area() float64
	fmt.Stringer
}

// Circle is round.
type Circle struct {
	Radius, x float64
	Inner
	next *Circle
}
type ID = string
type Kind int

// Area gives it.
func (c *Circle) Area() float64 {
	local := c.Radius
	return compute(local) * Limit
}
func New(r float64) *Circle { fmt.Println(str.ToUpper("x"), os.Args); return &Circle{Radius: r} }
