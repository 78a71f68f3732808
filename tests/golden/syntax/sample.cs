using System;
using Col = System.Collections.Generic;
namespace App.Core
{
    /// <summary>A shape.</summary>
    public abstract class Shape<T> : Base, IArea
    {
        public const int Limit = 10;
        private int count, other;
        public event EventHandler Changed;
        public int Count { get; set; }
        public delegate void Handler(int x);
        public Shape(int n) : base(n) { Init(n); }
        public override double Area() => Compute(Limit) * this.Scale();
        ~Shape() { }
        public static Shape<T> operator +(Shape<T> a, Shape<T> b) { return a; }
        public int this[int i] { get { return i; } }
    }
    interface IArea { double Area(); }
    struct Point { public int X; }
    enum Color { Red, Green = 2 }
    record Person(string Name);
}
